-- C08. From these movements on the lots of an instrument, and what closing them gains, are not known: nothing is guessed.
SELECT broker, account_id, stop_uid AS subject, business_date, NULL::numeric AS expected, NULL::numeric AS actual,
       'ERROR' AS severity, 'CORP_ACTION' AS cause,
       jsonb_build_object('symbol', symbol, 'instrument_id', instrument_id, 'reason_code', reason_code, 'reason', reason) AS evidence
FROM ledger_stops
WHERE business_date BETWEEN %(from_date)s AND %(to_date)s
ORDER BY 3
