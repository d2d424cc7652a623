SELECT keyword_name FROM duckdb_keywords() ORDER BY keyword_name
