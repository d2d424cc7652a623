CREATE VIEW deep AS
SELECT patient, center, roi, version, image_version, commit_id, log_risk$deep_columns
FROM stored.deep_vectors;
COMMENT ON VIEW deep IS 'output of a network for a patient: log_risk and its features; a small network leaves the last columns NULL';
COMMENT ON COLUMN deep.patient IS 'pseudonym';
COMMENT ON COLUMN deep.center IS 'center of the patient';
COMMENT ON COLUMN deep.roi IS 'what the network sees, gtv';
COMMENT ON COLUMN deep.version IS 'the trained network; see feature_versions';
COMMENT ON COLUMN deep.image_version IS 'image that was shown to it';
COMMENT ON COLUMN deep.log_risk IS 'higher means earlier death';
COMMENT ON COLUMN deep.commit_id IS 'commit that wrote the row; see commits';
