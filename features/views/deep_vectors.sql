-- Of these, the rows of the current definition; see current_versions.
CREATE VIEW stored.deep_vectors AS
FROM stored.deep_vectors_all
WHERE version IN (SELECT deep_version FROM stored.shown_versions);
