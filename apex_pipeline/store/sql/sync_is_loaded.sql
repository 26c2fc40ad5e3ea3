-- Whether loads of this program cover these data, and so move their watermark.
SELECT EXISTS (
    SELECT FROM load_coverage
    WHERE broker = %(broker)s AND account_id = %(account_id)s AND data_type = %(data_type)s AND market IN (%(market)s, 'ALL'))
