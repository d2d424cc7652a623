-- Files that were merged an hour ago; no reader is that old.
CALL ducklake_cleanup_old_files('lake', older_than => CAST(now() AS TIMESTAMP) - INTERVAL 1 HOUR)
