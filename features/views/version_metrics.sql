CREATE VIEW version_metrics AS
SELECT model, version, alias, created_at, center, split, metric, "value", "lower", "upper", n, events,
       "value" - lag("value") OVER (
           PARTITION BY model, center, metric, CASE WHEN split IN ('train', 'test') THEN 'patients' ELSE split END ORDER BY created_at, model_versions.commit_id
       ) AS change
FROM model_metrics JOIN model_versions USING (model, version);
COMMENT ON VIEW version_metrics IS 'every metric of every registered version at every center, with its change from the previous version; cross-fitted and live figures are compared with their own kind';
COMMENT ON COLUMN version_metrics.model IS 'name in the registry';
COMMENT ON COLUMN version_metrics.version IS 'version in the registry';
COMMENT ON COLUMN version_metrics.alias IS 'champion: the one that is served; challenger: the one that may replace it; deleted: MLflow no longer has the version';
COMMENT ON COLUMN version_metrics.created_at IS 'when it was registered, UTC';
COMMENT ON COLUMN version_metrics.center IS 'whose patients it was measured on';
COMMENT ON COLUMN version_metrics.split IS 'train: the model was fitted on these patients; test: it was not; also cross_fitted, left_out and live';
COMMENT ON COLUMN version_metrics.metric IS 'name of the figure; one at a time ends with it: auc_2y, auc_180d';
COMMENT ON COLUMN version_metrics."value" IS 'the figure';
COMMENT ON COLUMN version_metrics."lower" IS 'lower end of its confidence interval';
COMMENT ON COLUMN version_metrics."upper" IS 'upper end of its confidence interval';
COMMENT ON COLUMN version_metrics.n IS 'patients';
COMMENT ON COLUMN version_metrics.events IS 'of these, died';
COMMENT ON COLUMN version_metrics.change IS 'against the version registered before it';
