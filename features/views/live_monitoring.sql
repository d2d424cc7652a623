-- Of nobody where what was looked at before is no evidence any more.
CREATE VIEW live_monitoring AS
SELECT model, version, center, patients, observed, expected, cusum_more, limit_more, cusum_fewer, limit_fewer, signal, signal_observed, signal_expected, "at",
       commit_id
FROM (FROM stored.live_monitoring QUALIFY row_number() OVER (PARTITION BY model, version, center ORDER BY commit_id DESC) = 1)
WHERE patients > 0;
COMMENT ON VIEW live_monitoring IS 'deaths among a center''s patients whom a version had scored beforehand, against the deaths that it expected; see penumbra monitor';
COMMENT ON COLUMN live_monitoring.model IS 'name in the registry';
COMMENT ON COLUMN live_monitoring.version IS 'version in the registry';
COMMENT ON COLUMN live_monitoring.center IS 'center of the patients';
COMMENT ON COLUMN live_monitoring.patients IS 'scored before their outcome, and not known to be dead then';
COMMENT ON COLUMN live_monitoring.observed IS 'of these, died after they were scored, up to the last day that the version answers for';
COMMENT ON COLUMN live_monitoring.expected IS 'deaths that the version expected of them over the same follow-up';
COMMENT ON COLUMN live_monitoring.cusum_more IS 'CUSUM for more deaths than expected, now';
COMMENT ON COLUMN live_monitoring.limit_more IS 'beyond which it signals; where the version is right, as rarely as monitor.false_alarms says';
COMMENT ON COLUMN live_monitoring.cusum_fewer IS 'CUSUM for fewer deaths than expected, now';
COMMENT ON COLUMN live_monitoring.limit_fewer IS 'beyond which it signals';
COMMENT ON COLUMN live_monitoring.signal IS 'more or fewer: the chart that was beyond its limit first; NULL where none was';
COMMENT ON COLUMN live_monitoring.signal_observed IS 'deaths at the signal';
COMMENT ON COLUMN live_monitoring.signal_expected IS 'deaths expected at the signal';
COMMENT ON COLUMN live_monitoring."at" IS 'when it was looked at, UTC';
COMMENT ON COLUMN live_monitoring.commit_id IS 'commit that wrote the row; see commits';
