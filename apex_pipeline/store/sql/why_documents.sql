SELECT d.document_id, d.sha256, d.media_type, d.byte_size, o.interface, o.request, o.received_at, d.content
FROM raw_observations o JOIN raw_documents d USING (document_id)
WHERE o.load_id = %(load_id)s ORDER BY o.observation_id
