CREATE VIEW prediction_horizons AS
SELECT patient, center, model, version, image_version, days, survival, "lower", "upper", commit_id
FROM stored.prediction_horizons ANTI JOIN stored.gone USING (patient, center)
QUALIFY row_number() OVER (PARTITION BY patient, center, model, version, days ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW prediction_horizons IS 'predicted survival of a patient, one row for each day that a version answers for';
COMMENT ON COLUMN prediction_horizons.patient IS 'pseudonym';
COMMENT ON COLUMN prediction_horizons.center IS 'center of the patient';
COMMENT ON COLUMN prediction_horizons.model IS 'name in the registry';
COMMENT ON COLUMN prediction_horizons.version IS 'version in the registry';
COMMENT ON COLUMN prediction_horizons.image_version IS 'image it comes from';
COMMENT ON COLUMN prediction_horizons.days IS 'days, counted from the day that patients.time counts from';
COMMENT ON COLUMN prediction_horizons.survival IS 'probability of being alive after that many days; NULL beyond the follow-up of the training patients';
COMMENT ON COLUMN prediction_horizons."lower" IS 'its lower limit over refits on resamples of the training patients; NULL where the version has none, see predictions.limits';
COMMENT ON COLUMN prediction_horizons."upper" IS 'its upper limit';
COMMENT ON COLUMN prediction_horizons.commit_id IS 'commit that wrote the row; see commits';
