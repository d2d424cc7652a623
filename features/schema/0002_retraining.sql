-- What a retraining did, step by step, and which version has been champion when and why.
CREATE TABLE lake.retrainings (retraining VARCHAR, center VARCHAR, step VARCHAR, outcome VARCHAR, facts VARCHAR, "at" TIMESTAMP, commit_id BIGINT);

CREATE TABLE lake.alias_changes (
    model VARCHAR, alias VARCHAR, version BIGINT, previous BIGINT, digest VARCHAR, reason VARCHAR, who VARCHAR, "at" TIMESTAMP, commit_id BIGINT);
