-- Snapshots serve readers that have begun already; history is in commit_id and never expires. Two days for at least one: see remove_files.
CALL ducklake_expire_snapshots('lake', older_than => CAST(now() AS TIMESTAMP) - INTERVAL 2 DAY)
