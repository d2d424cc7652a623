-- Small Parquet files of a table into one.
CALL ducklake_merge_adjacent_files('lake')
