-- Of these, the rows of the current definition.
CREATE VIEW stored.deep_vectors AS
FROM stored.deep_vectors_all
WHERE version = (SELECT version FROM memory.main.current_versions WHERE kind = 'deep');
