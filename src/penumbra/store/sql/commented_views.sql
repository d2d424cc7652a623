-- What one row of each relation is.
SELECT view_name, comment FROM duckdb_views() WHERE database_name = 'memory' AND schema_name = 'main'
