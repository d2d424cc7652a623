-- The columns of relations with their types and meanings.
SELECT table_name, column_name, data_type, coalesce(comment, '')
FROM duckdb_columns()
WHERE database_name = 'memory' AND schema_name = 'main' AND list_contains(?, table_name)
ORDER BY table_name, column_index
