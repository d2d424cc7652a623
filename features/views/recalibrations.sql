-- Of the predictions that are shown: one that was made again without a recalibration has none.
CREATE VIEW recalibrations AS
SELECT patient, center, model, version, deaths, intercept, slope, fitted_at, fitted."at", fitted.commit_id
FROM stored.recalibrations AS fitted SEMI JOIN predictions AS shown USING (patient, center, model, version, commit_id);
COMMENT ON VIEW recalibrations IS 'what fitted the probabilities of a recorded prediction to the patient''s center; survival is that of the log_risk intercept + slope x log_risk';
COMMENT ON COLUMN recalibrations.patient IS 'pseudonym';
COMMENT ON COLUMN recalibrations.center IS 'center of the patient, by whose patients alone it was fitted';
COMMENT ON COLUMN recalibrations.model IS 'name in the registry';
COMMENT ON COLUMN recalibrations.version IS 'version in the registry';
COMMENT ON COLUMN recalibrations.deaths IS 'at that center, that it was fitted on';
COMMENT ON COLUMN recalibrations.intercept IS 'log of observed over expected deaths';
COMMENT ON COLUMN recalibrations.slope IS 'of log_risk; 1 where the level alone was fitted';
COMMENT ON COLUMN recalibrations.fitted_at IS 'when it was fitted, UTC';
COMMENT ON COLUMN recalibrations."at" IS 'when the patient was scored, UTC';
COMMENT ON COLUMN recalibrations.commit_id IS 'commit that wrote the row; see commits';
