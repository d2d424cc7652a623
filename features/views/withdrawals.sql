CREATE VIEW withdrawals AS
SELECT withdrawal, state, removed, models, reason, "at", commit_id
FROM stored.withdrawals
QUALIFY row_number() OVER (PARTITION BY withdrawal ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW withdrawals IS 'a patient that was forgotten: how much was removed and which models had used it, never who it was';
COMMENT ON COLUMN withdrawals.withdrawal IS 'random name of the withdrawal';
COMMENT ON COLUMN withdrawals.state IS 'removed: from every relation and commit; purged: from every file and snapshot too';
COMMENT ON COLUMN withdrawals.removed IS 'rows per relation, JSON';
COMMENT ON COLUMN withdrawals.models IS 'registered versions that had learned from the patient, to be retrained';
COMMENT ON COLUMN withdrawals.reason IS 'why, as it was given';
COMMENT ON COLUMN withdrawals."at" IS 'when, UTC';
COMMENT ON COLUMN withdrawals.commit_id IS 'commit that wrote the row; see commits';
