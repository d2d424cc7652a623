-- Older snapshots still show what was removed. History is in commit_id and does not need them.
CALL ducklake_expire_snapshots('lake', older_than => CAST(now() AS TIMESTAMP) + INTERVAL 1 DAY)
