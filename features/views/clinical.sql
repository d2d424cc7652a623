-- One more column for each that features/clinical.yaml declares.
CREATE VIEW clinical AS
SELECT patient, center%declared_columns%
FROM patients LEFT JOIN clinical_long AS own USING (patient, center)
GROUP BY ALL;
COMMENT ON VIEW clinical IS 'one row per patient with the columns that features/clinical.yaml declares; join it with patients';
COMMENT ON COLUMN clinical.patient IS 'pseudonym';
COMMENT ON COLUMN clinical.center IS 'center of the patient';
%declared_comments%
