-- Relations are views here; a client that looks for tables means them.
CREATE MACRO memory.main.duckdb_tables() AS TABLE
    SELECT database_name, schema_name, view_name AS table_name, "comment", internal, "temporary", column_count
    FROM system.main.duckdb_views() WHERE database_name = 'memory' AND schema_name = 'main' AND NOT internal;
