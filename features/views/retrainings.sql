CREATE VIEW retrainings AS
SELECT retraining, center, step, outcome, facts, "at", commit_id
FROM stored.retrainings
QUALIFY row_number() OVER (PARTITION BY retraining, step ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW retrainings IS 'a step of the center-arrival protocol, and what came of it';
COMMENT ON COLUMN retrainings.retraining IS 'key of the center''s files, the champion and all settings: the same retraining continued has the same';
COMMENT ON COLUMN retrainings.center IS 'center that arrived';
COMMENT ON COLUMN retrainings.step IS 'arrival, validation, checks, recalibration, update, refit, gate or decision';
COMMENT ON COLUMN retrainings.outcome IS 'one sentence';
COMMENT ON COLUMN retrainings.facts IS 'numbers behind it, JSON; of the step gate the limits that the verdict was taken on';
COMMENT ON COLUMN retrainings."at" IS 'when, UTC';
COMMENT ON COLUMN retrainings.commit_id IS 'commit that wrote the row; see commits';
