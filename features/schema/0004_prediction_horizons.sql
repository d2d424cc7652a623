-- Every day that a version of a model answers for; NULL where its training patients were not followed so long.
CREATE TABLE lake.prediction_horizons (
    patient VARCHAR, center VARCHAR, model VARCHAR, version VARCHAR, image_version VARCHAR, days DOUBLE, survival DOUBLE, "lower" DOUBLE,
    "upper" DOUBLE, commit_id BIGINT);
