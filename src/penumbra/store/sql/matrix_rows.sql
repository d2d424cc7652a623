-- Not sorted: a sort would hold all of it twice. matrix_keys says where each row belongs.
SELECT patient, center$columns, COLUMNS('v\d+') FROM stored.${relation}_vectors_all WHERE roi = ? AND version = ?$conditions
