-- Small Parquet files into larger ones: of each table at most $outputs new files in one call, from those smaller than $max_bytes. One call is one
-- transaction; without bounds it held all memory, and PostgreSQL's idle session, for as long as the whole lake takes.
CALL ducklake_merge_adjacent_files('lake', max_compacted_files => $outputs, max_file_size => $max_bytes)
