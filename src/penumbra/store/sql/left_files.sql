-- Files that no table knows; none after remove_orphaned_files, unless they could not be removed.
CALL ducklake_delete_orphaned_files('lake', cleanup_all => true, dry_run => true)
