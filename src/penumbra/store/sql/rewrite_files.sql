-- Every file with a deleted row, however few they are.
CALL ducklake_rewrite_data_files('lake', delete_threshold => 0)
