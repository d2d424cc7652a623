-- SHOW TABLES with what a row of each is.
SELECT view_name AS "name", "comment" FROM duckdb_views() ORDER BY view_name
