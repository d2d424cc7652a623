-- What the catalog shows to people: the relations and their comments, not the tables behind them.
CREATE MACRO memory.main.duckdb_columns() AS TABLE
    SELECT * FROM system.main.duckdb_columns() WHERE database_name = 'memory' AND schema_name = 'main' AND NOT internal;
CREATE MACRO memory.main.duckdb_views() AS TABLE
    SELECT * FROM system.main.duckdb_views() WHERE database_name = 'memory' AND schema_name = 'main' AND NOT internal;
