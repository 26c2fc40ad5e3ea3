-- The lots of some instruments of an account that are open on the day on which each begins again, and what left them.
CREATE TEMPORARY TABLE IF NOT EXISTS held (
    lot_uid text COLLATE "C", account_id text COLLATE "C", instrument_id text COLLATE "C", taken numeric
) ON COMMIT DROP;
SELECT l.*, h.taken FROM held h JOIN lots l USING (lot_uid)
WHERE h.account_id = %(account_id)s AND h.instrument_id = ANY (%(instruments)s)
