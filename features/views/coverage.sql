CREATE VIEW coverage AS
WITH held AS (
    SELECT patient, 'radiomics' AS kind, version, roi, list_count($radiomics_values) AS "values" FROM stored.radiomics_vectors
    UNION ALL
    SELECT patient, 'deep', version, roi, list_count($deep_values) FROM stored.deep_vectors),
wanted AS (SELECT DISTINCT kind, version, roi FROM held)
SELECT images.patient, images.center, wanted.kind, wanted.version, wanted.roi, held.patient IS NOT NULL AS present, coalesce(held."values", 0) AS "values"
FROM images CROSS JOIN wanted LEFT JOIN held USING (patient, kind, version, roi);
COMMENT ON VIEW coverage IS 'what is there and what is missing: each accepted patient against each definition that has rows';
COMMENT ON COLUMN coverage.patient IS 'pseudonym';
COMMENT ON COLUMN coverage.center IS 'center of the patient';
COMMENT ON COLUMN coverage.kind IS 'radiomics or deep';
COMMENT ON COLUMN coverage.version IS 'definition of the features';
COMMENT ON COLUMN coverage.roi IS 'region of interest';
COMMENT ON COLUMN coverage.present IS 'false: not computed yet, or from an image that was replaced';
COMMENT ON COLUMN coverage."values" IS 'features that have a value';
