-- Snapshots serve readers that have begun already; history is in commit_id and never expires.
CALL ducklake_expire_snapshots('lake', older_than => CAST(now() AS TIMESTAMP) - INTERVAL 1 DAY)
