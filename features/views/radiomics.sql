CREATE VIEW radiomics$all AS
SELECT patient, center, roi, version, image_version, commit_id$radiomics_columns
FROM stored.radiomics_vectors$all;
COMMENT ON VIEW radiomics$all IS 'features of an ROI under $definition; one column each, named as PyRadiomics names it (quote names with a dash)';
COMMENT ON COLUMN radiomics$all.patient IS 'pseudonym';
COMMENT ON COLUMN radiomics$all.center IS 'center of the patient';
COMMENT ON COLUMN radiomics$all.roi IS 'gtv, or a ring named by its margin, such as ring_3mm';
COMMENT ON COLUMN radiomics$all.version IS 'definition of the features; see feature_versions';
COMMENT ON COLUMN radiomics$all.image_version IS 'image they were computed from';
COMMENT ON COLUMN radiomics$all.commit_id IS 'commit that wrote the row; see commits';
