-- Deaths of a center's live patients against those that a version expected, as of one look: its chart for more deaths, and the one for fewer.
CREATE TABLE lake.live_monitoring (
    model VARCHAR, version VARCHAR, center VARCHAR, patients BIGINT, observed BIGINT, expected DOUBLE, cusum_more DOUBLE, limit_more DOUBLE, cusum_fewer DOUBLE,
    limit_fewer DOUBLE, signal VARCHAR, signal_observed BIGINT, signal_expected DOUBLE, "at" TIMESTAMP, commit_id BIGINT);
