-- Files of transactions that were killed before their commit: of two days ago, so that no active writer has files here. Only for the one writer.
CALL ducklake_delete_orphaned_files('lake', older_than => CAST(now() AS TIMESTAMP) - INTERVAL 2 DAY)
