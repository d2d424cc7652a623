CREATE VIEW commits AS SELECT id, "at", run, what, "rows", relations FROM stored.commits;
COMMENT ON VIEW commits IS 'one transaction; a row of any relation carries the id of its commit, and --as-of shows the store after one';
COMMENT ON COLUMN commits.id IS 'number of the commit, always increasing';
COMMENT ON COLUMN commits."at" IS 'UTC';
COMMENT ON COLUMN commits.run IS 'the run that wrote it';
COMMENT ON COLUMN commits.what IS 'why';
COMMENT ON COLUMN commits."rows" IS 'new rows in all relations';
COMMENT ON COLUMN commits.relations IS 'new rows per relation, JSON';
