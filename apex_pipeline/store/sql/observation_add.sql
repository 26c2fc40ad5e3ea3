INSERT INTO raw_observations (load_id, document_id, broker, interface, request, received_at, generated_at)
VALUES (%(load_id)s, %(document_id)s, %(broker)s, %(interface)s, %(request)s, %(received_at)s, %(generated_at)s)
