CREATE VIEW radiomics_long$all AS
SELECT patient, center, roi, version, feature, "value"
FROM (SELECT patient, center, roi, version, unnest($radiomics_names) AS feature, unnest($radiomics_values) AS "value" FROM stored.radiomics_vectors$all)
WHERE feature IS NOT NULL AND "value" IS NOT NULL;
COMMENT ON VIEW radiomics_long$all IS 'radiomics$all with one value per row, under $definition; convenient, and slower for many features';
COMMENT ON COLUMN radiomics_long$all.patient IS 'pseudonym';
COMMENT ON COLUMN radiomics_long$all.center IS 'center of the patient';
COMMENT ON COLUMN radiomics_long$all.roi IS 'gtv, or a ring named by its margin, such as ring_3mm';
COMMENT ON COLUMN radiomics_long$all.version IS 'definition of the feature; see feature_versions';
COMMENT ON COLUMN radiomics_long$all.feature IS 'name of the feature';
COMMENT ON COLUMN radiomics_long$all."value" IS 'its value';
