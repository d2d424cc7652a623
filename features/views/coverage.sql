CREATE VIEW coverage$all AS
WITH held AS (
    SELECT patient, center, 'radiomics' AS kind, version, roi, list_count($radiomics_values) AS "values" FROM stored.radiomics_vectors$all
    UNION ALL
    SELECT patient, center, 'deep', version, roi, list_count($deep_values) FROM stored.deep_vectors$all),
wanted AS (SELECT DISTINCT kind, version, roi FROM held)
SELECT images.patient, images.center, wanted.kind, wanted.version, wanted.roi, held.patient IS NOT NULL AS present, coalesce(held."values", 0) AS "values"
FROM images CROSS JOIN wanted LEFT JOIN held USING (patient, center, kind, version, roi);
COMMENT ON VIEW coverage$all IS 'what is there and what is missing: each accepted patient against $definition';
COMMENT ON COLUMN coverage$all.patient IS 'pseudonym';
COMMENT ON COLUMN coverage$all.center IS 'center of the patient';
COMMENT ON COLUMN coverage$all.kind IS 'radiomics or deep';
COMMENT ON COLUMN coverage$all.version IS 'definition of the features';
COMMENT ON COLUMN coverage$all.roi IS 'region of interest';
COMMENT ON COLUMN coverage$all.present IS 'false: not computed yet, or from an image that was replaced';
COMMENT ON COLUMN coverage$all."values" IS 'features that have a value';
