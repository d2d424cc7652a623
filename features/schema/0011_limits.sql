-- Limits of what a version says of a patient, over refits on resamples of its training patients; NULL, with the reason, where it has none. Those of the
-- other days of a version are in prediction_horizons.
ALTER TABLE lake.predictions ADD COLUMN log_risk_lower DOUBLE;
ALTER TABLE lake.predictions ADD COLUMN log_risk_upper DOUBLE;
ALTER TABLE lake.predictions ADD COLUMN survival_1y_lower DOUBLE;
ALTER TABLE lake.predictions ADD COLUMN survival_1y_upper DOUBLE;
ALTER TABLE lake.predictions ADD COLUMN survival_2y_lower DOUBLE;
ALTER TABLE lake.predictions ADD COLUMN survival_2y_upper DOUBLE;
ALTER TABLE lake.predictions ADD COLUMN survival_3y_lower DOUBLE;
ALTER TABLE lake.predictions ADD COLUMN survival_3y_upper DOUBLE;
ALTER TABLE lake.predictions ADD COLUMN limits VARCHAR;
UPDATE lake.predictions SET limits = 'none: the version was registered before there were limits';
