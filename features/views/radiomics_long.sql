CREATE VIEW radiomics_long AS
SELECT patient, center, roi, version, feature, "value"
FROM (SELECT patient, center, roi, version, unnest($radiomics_names) AS feature, unnest($radiomics_values) AS "value" FROM stored.radiomics_vectors)
WHERE feature IS NOT NULL AND "value" IS NOT NULL;
COMMENT ON VIEW radiomics_long IS 'radiomics with one value per row; convenient, and slower for many features';
COMMENT ON COLUMN radiomics_long.patient IS 'pseudonym';
COMMENT ON COLUMN radiomics_long.center IS 'center of the patient';
COMMENT ON COLUMN radiomics_long.roi IS 'gtv, ring_3mm, ring_6mm or ring_9mm';
COMMENT ON COLUMN radiomics_long.version IS 'definition of the feature; see feature_versions';
COMMENT ON COLUMN radiomics_long.feature IS 'name of the feature';
COMMENT ON COLUMN radiomics_long."value" IS 'its value';
