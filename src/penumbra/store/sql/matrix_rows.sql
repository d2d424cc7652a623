SELECT $columns, COLUMNS('v\d+') FROM stored.${relation}_vectors WHERE roi = ? AND version = ?$conditions ORDER BY patient
