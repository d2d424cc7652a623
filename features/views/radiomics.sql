CREATE VIEW radiomics AS
SELECT patient, center, roi, version, image_version, commit_id$radiomics_columns
FROM stored.radiomics_vectors;
COMMENT ON VIEW radiomics IS 'features of an ROI under one definition; one column each, named as PyRadiomics names it (quote names with a dash)';
COMMENT ON COLUMN radiomics.patient IS 'pseudonym';
COMMENT ON COLUMN radiomics.center IS 'center of the patient';
COMMENT ON COLUMN radiomics.roi IS 'gtv, ring_3mm, ring_6mm or ring_9mm';
COMMENT ON COLUMN radiomics.version IS 'definition of the features; see feature_versions';
COMMENT ON COLUMN radiomics.image_version IS 'image they were computed from';
COMMENT ON COLUMN radiomics.commit_id IS 'commit that wrote the row; see commits';
