WITH added AS (
    INSERT INTO raw_documents (sha256, media_type, byte_size, content, first_received_at)
    VALUES (%(sha256)s, %(media_type)s, %(byte_size)s, %(content)s, %(received_at)s)
    ON CONFLICT (sha256) DO NOTHING RETURNING document_id
)
SELECT document_id FROM added UNION ALL SELECT document_id FROM raw_documents WHERE sha256 = %(sha256)s LIMIT 1
