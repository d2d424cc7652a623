CREATE VIEW predictions AS
SELECT patient, center, model, version, image_version, log_risk, risk_group, survival_1y, survival_2y, survival_3y, log_risk_lower,
    log_risk_upper, survival_1y_lower, survival_1y_upper, survival_2y_lower, survival_2y_upper, survival_3y_lower, survival_3y_upper, limits,
    applicability, applicability_share, applicability_distance, applicability_columns, applicability_reason, "at", commit_id
FROM stored.predictions ANTI JOIN stored.gone USING (patient, center)
QUALIFY row_number() OVER (PARTITION BY patient, center, model, version ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW predictions IS 'what a version of a model says about a patient of a center';
COMMENT ON COLUMN predictions.log_risk IS 'higher means earlier death';
COMMENT ON COLUMN predictions.risk_group IS 'high or low, by the cut-off of the training patients';
COMMENT ON COLUMN predictions.survival_1y IS 'probability of being alive after one year; NULL where the version does not answer for that day, see prediction_horizons';
COMMENT ON COLUMN predictions.survival_2y IS 'after two years';
COMMENT ON COLUMN predictions.survival_3y IS 'after three years';
COMMENT ON COLUMN predictions.log_risk_lower IS 'lower limit of log_risk over refits on resamples of the training patients; NULL where the version has none';
COMMENT ON COLUMN predictions.log_risk_upper IS 'its upper limit';
COMMENT ON COLUMN predictions.survival_1y_lower IS 'lower limit of survival_1y over the same refits';
COMMENT ON COLUMN predictions.survival_1y_upper IS 'its upper limit';
COMMENT ON COLUMN predictions.survival_2y_lower IS 'lower limit of survival_2y';
COMMENT ON COLUMN predictions.survival_2y_upper IS 'its upper limit';
COMMENT ON COLUMN predictions.survival_3y_lower IS 'lower limit of survival_3y';
COMMENT ON COLUMN predictions.survival_3y_upper IS 'its upper limit';
COMMENT ON COLUMN predictions.limits IS 'what the limits cover; "none: " and the reason where there are none';
COMMENT ON COLUMN predictions.applicability IS 'inside, edge or outside what the version was made for; unknown of a version from before this was learned; NULL: not asked then';
COMMENT ON COLUMN predictions.applicability_share IS 'share of the columns of the model that are beyond the percentiles of training';
COMMENT ON COLUMN predictions.applicability_distance IS 'Mahalanobis distance to the training patients in the space that the model uses; NULL where a value is missing or infinite';
COMMENT ON COLUMN predictions.applicability_columns IS 'columns beyond the percentiles, the farthest ten first';
COMMENT ON COLUMN predictions.applicability_reason IS 'one sentence';
COMMENT ON COLUMN predictions."at" IS 'when it was computed, UTC';
COMMENT ON COLUMN predictions.patient IS 'pseudonym';
COMMENT ON COLUMN predictions.center IS 'center of the patient';
COMMENT ON COLUMN predictions.model IS 'name in the registry';
COMMENT ON COLUMN predictions.version IS 'version in the registry';
COMMENT ON COLUMN predictions.image_version IS 'image it comes from';
COMMENT ON COLUMN predictions.commit_id IS 'commit that wrote the row; see commits';
