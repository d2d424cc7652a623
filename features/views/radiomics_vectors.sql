-- Of these, the rows of the current definition; see current_versions.
CREATE VIEW stored.radiomics_vectors AS
FROM stored.radiomics_vectors_all
WHERE version = coalesce(
    (SELECT arg_max(version, commit_id) FROM stored.current_versions WHERE kind = 'radiomics'),
    (SELECT arg_max(version, commit_id) FROM stored.radiomics));
