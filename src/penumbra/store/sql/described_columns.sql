-- DESCRIBE with what each column means; DuckDB's own knows no comments.
SELECT column_name, data_type AS column_type, comment
FROM duckdb_columns()
WHERE database_name = 'memory' AND schema_name = 'main' AND table_name = '$relation'
ORDER BY column_index
