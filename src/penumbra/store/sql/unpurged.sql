SELECT withdrawal, removed, models, reason
FROM (FROM lake.withdrawals QUALIFY row_number() OVER (PARTITION BY withdrawal ORDER BY commit_id DESC) = 1)
WHERE state = 'removed'
