CREATE VIEW predictions AS
SELECT patient, center, model, version, image_version, log_risk, risk_group, survival_1y, survival_2y, survival_3y, "at", commit_id
FROM stored.predictions ANTI JOIN stored.gone USING (patient, center)
QUALIFY row_number() OVER (PARTITION BY patient, center, model, version ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW predictions IS 'what a version of a model says about a patient of a center';
COMMENT ON COLUMN predictions.log_risk IS 'higher means earlier death';
COMMENT ON COLUMN predictions.risk_group IS 'high or low, by the cut-off of the training patients';
COMMENT ON COLUMN predictions.survival_1y IS 'probability of being alive after one year; NULL where the version does not answer for that day, see prediction_horizons';
COMMENT ON COLUMN predictions.survival_2y IS 'after two years';
COMMENT ON COLUMN predictions.survival_3y IS 'after three years';
COMMENT ON COLUMN predictions."at" IS 'when it was computed, UTC';
COMMENT ON COLUMN predictions.patient IS 'pseudonym';
COMMENT ON COLUMN predictions.center IS 'center of the patient';
COMMENT ON COLUMN predictions.model IS 'name in the registry';
COMMENT ON COLUMN predictions.version IS 'version in the registry';
COMMENT ON COLUMN predictions.image_version IS 'image it comes from';
COMMENT ON COLUMN predictions.commit_id IS 'commit that wrote the row; see commits';
