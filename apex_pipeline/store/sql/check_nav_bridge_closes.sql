-- D08. IB's own bridge: the starting value and what changed it make the ending value. What positions gained stands in it
-- as `mtm`, or as `realized` and `changeInUnrealized`, by an option of the query; a statement may tell both ways at once.
-- A line that is not known here is no part of the sum: if the unknown lines make up all that is missing, a line is new.
WITH bridges AS (
    SELECT figures_uid, broker, account_id, business_date, currency, from_date, to_date, figures
    FROM broker_figures
    WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND section = 'ChangeInNAV'
      AND figures ?& ARRAY['startingValue', 'endingValue']
), sums AS (
    SELECT b.figures_uid,
           coalesce(sum(line.amount) FILTER (WHERE line.name = 'mtm'), 0) AS mtm,
           coalesce(sum(line.amount) FILTER (WHERE line.name IN ('realized', 'changeInUnrealized')), 0) AS gains,
           coalesce(sum(line.amount) FILTER (WHERE line.is_part), 0) AS parts,
           coalesce(sum(line.amount) FILTER (WHERE line.is_new), 0) AS unknown,
           jsonb_object_agg(line.name, line.amount) FILTER (WHERE line.is_new) AS unknown_lines
    FROM bridges b
    CROSS JOIN LATERAL (
        SELECT told.key AS name, (told.value #>> '{}')::numeric AS amount,
               told.key = ANY (string_to_array(
                   'advisorFees assetTransfers billPay billableSalesTax brokerFees carbonCredits changeInBrokerFeeAccruals '
                   'changeInDividendAccruals changeInIncentiveCouponAccruals changeInInterestAccruals clientFees '
                   'commissionCreditsRedemption commissionReceivables commissions commissionsAtPaxos '
                   'corporateActionProceeds costAdjustments debitCardActivity depositsWithdrawals dividends donations '
                   'excessFundSweep feesReceivables forexCommissions fxTranslation grantActivity interest '
                   'internalCashTransfers linkingAdjustments mtmAtPaxos netFxTrading other otherFees otherIncome '
                   'paxosTransfers referralFee salesTax softDollars taxReceivables transactionTax '
                   'transferredPnlAdjustments withholding871m withholdingTax withholdingTaxCollected', ' ')) AS is_part
        FROM jsonb_each(b.figures) AS told
    ) AS plain
    CROSS JOIN LATERAL (
        SELECT plain.name, plain.amount, plain.is_part,
               NOT plain.is_part AND plain.amount <> 0 AND plain.name NOT IN
                   ('startingValue', 'endingValue', 'mtm', 'realized', 'changeInUnrealized', 'twr') AS is_new
    ) AS line
    GROUP BY 1
), closed AS (
    SELECT b.*, s.unknown, s.unknown_lines, s.parts, ending.value AS ending,
           starting.value + s.parts + CASE
               WHEN s.mtm = 0 THEN s.gains WHEN s.gains = 0 THEN s.mtm
               -- of two ways that are told at once the one that closes
               WHEN abs(starting.value + s.parts + s.gains - ending.value)
                    < abs(starting.value + s.parts + s.mtm - ending.value) THEN s.gains ELSE s.mtm END AS made
    FROM bridges b JOIN sums s USING (figures_uid)
    CROSS JOIN LATERAL (SELECT (b.figures ->> 'startingValue')::numeric AS value) AS starting
    CROSS JOIN LATERAL (SELECT (b.figures ->> 'endingValue')::numeric AS value) AS ending
)
SELECT broker, account_id, figures_uid AS subject, business_date, trim_scale(ending) AS expected, trim_scale(made) AS actual,
       currency, CASE WHEN is_new THEN 'WARN' ELSE 'ERROR' END AS severity,
       CASE WHEN is_new THEN 'REFERENCE_DATA' END AS cause,
       jsonb_build_object('from_date', from_date, 'to_date', to_date, 'figures', figures,
                          'unknown_lines', coalesce(unknown_lines, '{}'::jsonb)) AS evidence
FROM (SELECT *, unknown_lines IS NOT NULL AND abs(made + unknown - ending) <= 0.01 AS is_new FROM closed) AS bridge
WHERE abs(made - ending) > 0.01
ORDER BY 3
