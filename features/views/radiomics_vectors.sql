-- Of these, the rows of the current definition.
CREATE VIEW stored.radiomics_vectors AS
FROM stored.radiomics_vectors_all
WHERE version = (SELECT version FROM memory.main.current_versions WHERE kind = 'radiomics');
