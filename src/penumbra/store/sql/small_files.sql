-- How many small Parquet files the newest snapshot reads, of the table that has the most of them.
SELECT coalesce(max(files), 0)
FROM (
    SELECT count(*) AS files FROM __ducklake_metadata_lake.ducklake_data_file WHERE end_snapshot IS NULL AND file_size_bytes < $max_bytes GROUP BY table_id)
