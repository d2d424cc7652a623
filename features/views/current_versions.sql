-- Where no populate or train has recorded its definition, it is the one with the newest rows.
CREATE VIEW current_versions AS
WITH chosen AS (FROM stored.current_versions WHERE commit_id > 0 QUALIFY row_number() OVER (PARTITION BY kind ORDER BY commit_id DESC) = 1),
newest AS (
    SELECT 'radiomics' AS kind, arg_max(version, commit_id) AS version FROM stored.radiomics
    UNION ALL
    SELECT 'deep', arg_max(version, commit_id) FROM stored.deep)
SELECT kind, coalesce(chosen.version, newest.version) AS version
FROM newest LEFT JOIN chosen USING (kind)
WHERE coalesce(chosen.version, newest.version) IS NOT NULL;
COMMENT ON VIEW current_versions IS 'the definition that the relations of features show; those whose name ends in _all show every definition';
COMMENT ON COLUMN current_versions.kind IS 'radiomics or deep';
COMMENT ON COLUMN current_versions.version IS 'see feature_versions';
