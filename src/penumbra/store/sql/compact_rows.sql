-- Rows that small commits left in the catalog, into Parquet files.
CALL ducklake_flush_inlined_data('lake')
