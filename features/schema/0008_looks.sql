-- The ledger of looks: every evaluation on outcomes of patients that the evaluated models were not fitted on. No patient is named.
CREATE TABLE lake.looks (
    center VARCHAR, split VARCHAR, stage VARCHAR, evaluation VARCHAR, model VARCHAR, version VARCHAR, patients BIGINT, events BIGINT, code_commit VARCHAR,
    "at" TIMESTAMP, commit_id BIGINT);
