CREATE VIEW deep$all AS
SELECT patient, center, roi, version, image_version, commit_id, log_risk$deep_columns
FROM stored.deep_vectors$all;
COMMENT ON VIEW deep$all IS 'output of a network for a patient, under $definition: log_risk and its features; a small network leaves the last columns NULL';
COMMENT ON COLUMN deep$all.patient IS 'pseudonym';
COMMENT ON COLUMN deep$all.center IS 'center of the patient';
COMMENT ON COLUMN deep$all.roi IS 'what the network sees, gtv';
COMMENT ON COLUMN deep$all.version IS 'the trained network; see feature_versions';
COMMENT ON COLUMN deep$all.image_version IS 'image that the network was given';
COMMENT ON COLUMN deep$all.log_risk IS 'higher means earlier death';
COMMENT ON COLUMN deep$all.commit_id IS 'commit that wrote the row; see commits';
