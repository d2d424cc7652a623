SELECT $columns, COLUMNS('v\d+') FROM stored.${relation}_vectors_all WHERE roi = ? AND version = ?$conditions ORDER BY patient
