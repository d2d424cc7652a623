-- Once for the GTV and for each ring of features/rois.yaml.
CREATE VIEW ${relation}$all AS
SELECT patients.patient, patients.center, age, sex, histology, overall_stage, "time", event, features.* EXCLUDE (patient, center, roi, commit_id)
FROM radiomics$all AS features JOIN patients USING (patient, center)
WHERE features.roi = '$roi';
COMMENT ON VIEW ${relation}$all IS 'one row per patient, under $definition: outcome, clinical record and every radiomics feature of $tissue';
COMMENT ON COLUMN ${relation}$all.patient IS 'pseudonym';
COMMENT ON COLUMN ${relation}$all.center IS 'center of the patient';
COMMENT ON COLUMN ${relation}$all.age IS 'years at diagnosis';
COMMENT ON COLUMN ${relation}$all.sex IS 'female or male';
COMMENT ON COLUMN ${relation}$all.histology IS 'as the center names it, normalized';
COMMENT ON COLUMN ${relation}$all.overall_stage IS 'overall stage, I to IV with letters';
COMMENT ON COLUMN ${relation}$all."time" IS 'days to death or last contact';
COMMENT ON COLUMN ${relation}$all.event IS 'true: died at time';
COMMENT ON COLUMN ${relation}$all.version IS 'definition of the features';
COMMENT ON COLUMN ${relation}$all.image_version IS 'image they were computed from';
