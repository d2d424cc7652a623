-- How stable a feature is: an intraclass correlation over training patients, none of whom is named.
CREATE TABLE lake.feature_stability (
    version VARCHAR, roi VARCHAR, feature VARCHAR, perturbation VARCHAR, icc DOUBLE, "lower" DOUBLE, "upper" DOUBLE, patients BIGINT, levels VARCHAR,
    reason VARCHAR, commit_id BIGINT);
