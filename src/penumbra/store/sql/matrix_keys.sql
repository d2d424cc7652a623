SELECT patient, center$columns FROM stored.${relation}_vectors_all WHERE roi = ? AND version = ?$conditions ORDER BY patient, center
