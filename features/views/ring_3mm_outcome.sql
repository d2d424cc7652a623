CREATE VIEW ring_3mm_outcome$all AS
SELECT patients.patient, patients.center, age, sex, histology, overall_stage, "time", event, features.* EXCLUDE (patient, center, roi, commit_id)
FROM radiomics$all AS features JOIN patients USING (patient, center)
WHERE features.roi = 'ring_3mm';
COMMENT ON VIEW ring_3mm_outcome$all IS 'one row per patient, under $definition: outcome, clinical record and every radiomics feature of the ring of 3 mm around the tumor';
COMMENT ON COLUMN ring_3mm_outcome$all.patient IS 'pseudonym';
COMMENT ON COLUMN ring_3mm_outcome$all.center IS 'center of the patient';
COMMENT ON COLUMN ring_3mm_outcome$all.age IS 'years at diagnosis';
COMMENT ON COLUMN ring_3mm_outcome$all.sex IS 'female or male';
COMMENT ON COLUMN ring_3mm_outcome$all.histology IS 'as the center names it, normalized';
COMMENT ON COLUMN ring_3mm_outcome$all.overall_stage IS 'overall stage, I to IV with letters';
COMMENT ON COLUMN ring_3mm_outcome$all."time" IS 'days to death or last contact';
COMMENT ON COLUMN ring_3mm_outcome$all.event IS 'true: died at time';
COMMENT ON COLUMN ring_3mm_outcome$all.version IS 'definition of the features';
COMMENT ON COLUMN ring_3mm_outcome$all.image_version IS 'image they were computed from';
