CREATE VIEW patients AS
SELECT patient, center, age, sex, histology, t_stage, n_stage, m_stage, overall_stage, "time", event, clinical_version, details, commit_id
FROM stored.patients ANTI JOIN stored.gone USING (patient, center)
QUALIFY row_number() OVER (PARTITION BY patient ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW patients IS 'a patient with the newest clinical record; earlier records by --as-of';
COMMENT ON COLUMN patients.patient IS 'pseudonym, unique over all centers';
COMMENT ON COLUMN patients.center IS 'center that treated the patient';
COMMENT ON COLUMN patients.age IS 'years at diagnosis';
COMMENT ON COLUMN patients.sex IS 'female or male';
COMMENT ON COLUMN patients.histology IS 'as the center names it, normalized';
COMMENT ON COLUMN patients.t_stage IS 'clinical T stage';
COMMENT ON COLUMN patients.n_stage IS 'clinical N stage';
COMMENT ON COLUMN patients.m_stage IS 'clinical M stage';
COMMENT ON COLUMN patients.overall_stage IS 'overall stage, I to IV with letters';
COMMENT ON COLUMN patients."time" IS 'days to death or last contact, from the day that the center counts from (best the start of treatment)';
COMMENT ON COLUMN patients.event IS 'true: died at time; false: alive then (censored)';
COMMENT ON COLUMN patients.clinical_version IS 'key of this record''s content';
COMMENT ON COLUMN patients.details IS 'further facts of the record, JSON';
COMMENT ON COLUMN patients.commit_id IS 'commit that wrote the row; see commits';
