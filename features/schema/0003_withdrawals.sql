-- What was forgotten: how much and by whom it had been used, never of whom.
CREATE TABLE lake.withdrawals (
    withdrawal VARCHAR, state VARCHAR, removed VARCHAR, models VARCHAR[], reason VARCHAR, "at" TIMESTAMP, commit_id BIGINT);
