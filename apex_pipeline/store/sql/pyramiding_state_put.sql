INSERT INTO pyramiding_state AS stored (instrument, last_pyramid_price, base_position_id)
VALUES (%(instrument)s, %(last_pyramid_price)s, %(base_position_id)s)
ON CONFLICT (instrument) DO UPDATE SET last_pyramid_price = EXCLUDED.last_pyramid_price,
    base_position_id = EXCLUDED.base_position_id, version = stored.version + 1, updated_at = clock_timestamp()
RETURNING *
