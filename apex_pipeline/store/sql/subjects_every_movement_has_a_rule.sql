-- Movements, the rows of one corporate action on an instrument together, whoever tells them.
SELECT broker, account_id, business_date, count(*) AS subjects
FROM (SELECT broker, account_id, business_date, movement_uid AS subject FROM position_movements
      WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND kind <> 'CORPORATE_ACTION'
      UNION ALL
      (SELECT broker, account_id, business_date, coalesce(link_id, movement_uid) || ' ' || instrument_id
       FROM position_movements
       WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND kind = 'CORPORATE_ACTION'
       UNION
       SELECT broker, account_id, business_date,
              coalesce(broker_action_id || '@' || business_date, action_uid) || ' ' || coalesce(instrument_id, symbol)
       FROM corporate_actions
       WHERE business_date BETWEEN %(from_date)s AND %(to_date)s AND asset_class NOT IN ('FX', 'COMBO')
         AND qty <> 0)) AS moved
GROUP BY 1, 2, 3
