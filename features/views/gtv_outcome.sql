CREATE VIEW gtv_outcome AS
SELECT patients.patient, patients.center, age, sex, histology, overall_stage, "time", event, radiomics.* EXCLUDE (patient, center, roi, commit_id)
FROM radiomics JOIN patients USING (patient)
WHERE radiomics.roi = 'gtv';
COMMENT ON VIEW gtv_outcome IS 'one row per patient and version: outcome, clinical record and every radiomics feature of the tumour';
COMMENT ON COLUMN gtv_outcome.patient IS 'pseudonym';
COMMENT ON COLUMN gtv_outcome.center IS 'center of the patient';
COMMENT ON COLUMN gtv_outcome.age IS 'years at diagnosis';
COMMENT ON COLUMN gtv_outcome.sex IS 'female or male';
COMMENT ON COLUMN gtv_outcome.histology IS 'as the center names it, normalised';
COMMENT ON COLUMN gtv_outcome.overall_stage IS 'overall stage, I to IV with letters';
COMMENT ON COLUMN gtv_outcome."time" IS 'days to death or last contact';
COMMENT ON COLUMN gtv_outcome.event IS 'true: died at time';
COMMENT ON COLUMN gtv_outcome.version IS 'definition of the features';
COMMENT ON COLUMN gtv_outcome.image_version IS 'image they were computed from';
