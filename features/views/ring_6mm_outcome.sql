CREATE VIEW ring_6mm_outcome AS
SELECT patients.patient, patients.center, age, sex, histology, overall_stage, "time", event, radiomics.* EXCLUDE (patient, center, roi, commit_id)
FROM radiomics JOIN patients USING (patient)
WHERE radiomics.roi = 'ring_6mm';
COMMENT ON VIEW ring_6mm_outcome IS 'one row per patient and version: outcome, clinical record and every radiomics feature of the ring of 6 mm around the tumour';
COMMENT ON COLUMN ring_6mm_outcome.patient IS 'pseudonym';
COMMENT ON COLUMN ring_6mm_outcome.center IS 'center of the patient';
COMMENT ON COLUMN ring_6mm_outcome.age IS 'years at diagnosis';
COMMENT ON COLUMN ring_6mm_outcome.sex IS 'female or male';
COMMENT ON COLUMN ring_6mm_outcome.histology IS 'as the center names it, normalised';
COMMENT ON COLUMN ring_6mm_outcome.overall_stage IS 'overall stage, I to IV with letters';
COMMENT ON COLUMN ring_6mm_outcome."time" IS 'days to death or last contact';
COMMENT ON COLUMN ring_6mm_outcome.event IS 'true: died at time';
COMMENT ON COLUMN ring_6mm_outcome.version IS 'definition of the features';
COMMENT ON COLUMN ring_6mm_outcome.image_version IS 'image they were computed from';
