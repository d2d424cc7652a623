CREATE VIEW model_patients AS
SELECT model, version, patient, center, split, image_version, commit_id
FROM stored.model_patients
QUALIFY row_number() OVER (PARTITION BY model, version, patient ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW model_patients IS 'a patient that a registered version used, and for what';
COMMENT ON COLUMN model_patients.split IS 'what the patient was used for: train; update, where the version changes its probabilities at one center; test: nothing';
COMMENT ON COLUMN model_patients.model IS 'name in the registry';
COMMENT ON COLUMN model_patients.version IS 'version in the registry';
COMMENT ON COLUMN model_patients.patient IS 'pseudonym';
COMMENT ON COLUMN model_patients.center IS 'center of the patient';
COMMENT ON COLUMN model_patients.image_version IS 'image it comes from';
COMMENT ON COLUMN model_patients.commit_id IS 'commit that wrote the row; see commits';
