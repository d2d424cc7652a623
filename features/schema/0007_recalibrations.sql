-- What fitted the probabilities of a recorded prediction to the patient's center; a row belongs to the prediction of the same commit.
CREATE TABLE lake.recalibrations (
    patient VARCHAR, center VARCHAR, model VARCHAR, version VARCHAR, deaths BIGINT, intercept DOUBLE, slope DOUBLE, fitted_at TIMESTAMP, "at" TIMESTAMP,
    commit_id BIGINT);
