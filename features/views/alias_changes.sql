CREATE VIEW alias_changes AS
SELECT model, alias, version, previous, digest, reason, who, "at", commit_id
FROM stored.alias_changes;
COMMENT ON VIEW alias_changes IS 'an alias that moved to another version, also outside penumbra; rows are only ever added';
COMMENT ON COLUMN alias_changes.model IS 'name in the registry';
COMMENT ON COLUMN alias_changes.alias IS 'champion or challenger';
COMMENT ON COLUMN alias_changes.version IS 'version that has had it since then; NULL: none, the alias or its version was removed';
COMMENT ON COLUMN alias_changes.previous IS 'version that had it before; NULL: none';
COMMENT ON COLUMN alias_changes.digest IS 'SHA-256 of the version''s content, checked when the alias moved; NULL for a version that penumbra did not register';
COMMENT ON COLUMN alias_changes.reason IS 'why';
COMMENT ON COLUMN alias_changes.who IS 'account that moved it; outside: it was moved in MLflow, and noticed at this time';
COMMENT ON COLUMN alias_changes."at" IS 'time of the change, UTC';
COMMENT ON COLUMN alias_changes.commit_id IS 'commit that wrote the row; see commits';
