-- Of these, the rows of the current definition; see current_versions.
CREATE VIEW stored.deep_vectors AS
FROM stored.deep_vectors_all
WHERE version = coalesce(
    (SELECT arg_max(version, commit_id) FROM stored.current_versions WHERE kind = 'deep'),
    (SELECT arg_max(version, commit_id) FROM stored.deep));
