-- The newest value, of patients who are in the relations.
CREATE VIEW clinical_long AS
SELECT patient, center, name, number, level, commit_id
FROM stored.clinical_long ANTI JOIN stored.gone USING (patient, center)
QUALIFY row_number() OVER (PARTITION BY patient, center, name ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW clinical_long IS 'a value of one of the columns of features/clinical.yaml, one row per patient and column; earlier values by --as-of';
COMMENT ON COLUMN clinical_long.patient IS 'pseudonym';
COMMENT ON COLUMN clinical_long.center IS 'center of the patient';
COMMENT ON COLUMN clinical_long.name IS 'name of the column; see clinical_columns';
COMMENT ON COLUMN clinical_long.number IS 'number, or 1 and 0 for true and false; NULL: not known, or a level';
COMMENT ON COLUMN clinical_long.level IS 'level of a category; NULL: not known, or a number';
COMMENT ON COLUMN clinical_long.commit_id IS 'commit that wrote the row; see commits';
