-- Of these, the rows of the current definition; see current_versions.
CREATE VIEW stored.radiomics_vectors AS
FROM stored.radiomics_vectors_all
WHERE version IN (SELECT radiomics_version FROM stored.shown_versions);
