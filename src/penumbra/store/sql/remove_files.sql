-- Files that were merged at least a day ago; no reader is that old. Two days, because an SQLite catalog compares these times as text, "2026-11-24 18:06"
-- with "2026-11-24T17:06": of one date every time counts as older, and an hour here took files from under readers.
CALL ducklake_cleanup_old_files('lake', older_than => CAST(now() AS TIMESTAMP) - INTERVAL 2 DAY)
