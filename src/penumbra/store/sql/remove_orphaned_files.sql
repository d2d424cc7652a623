-- Files of transactions that were killed before their commit. Only for the one writer.
CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)
