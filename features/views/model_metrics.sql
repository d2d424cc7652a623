-- A live metric of nobody was taken back: it had been measured on patients whose outcome was known.
CREATE VIEW model_metrics AS
SELECT model, version, center, split, metric, "value", "lower", "upper", n, events, commit_id
FROM (FROM stored.model_metrics QUALIFY row_number() OVER (PARTITION BY model, version, center, split, metric ORDER BY commit_id DESC) = 1)
WHERE split <> 'live' OR n > 0;
COMMENT ON VIEW model_metrics IS 'one number about a version of a model on the patients of a center';
COMMENT ON COLUMN model_metrics.center IS 'center whose patients it was measured on';
COMMENT ON COLUMN model_metrics.split IS 'train: the model was fitted on these patients; test: it was not; also cross_fitted, left_out and live';
COMMENT ON COLUMN model_metrics.metric IS 'name of the metric; a metric at a time ends with that time: auc_2y, auc_180d';
COMMENT ON COLUMN model_metrics."value" IS 'value of the metric';
COMMENT ON COLUMN model_metrics."lower" IS 'lower end of its confidence interval';
COMMENT ON COLUMN model_metrics."upper" IS 'upper end of its confidence interval';
COMMENT ON COLUMN model_metrics.n IS 'patients';
COMMENT ON COLUMN model_metrics.events IS 'of these, died';
COMMENT ON COLUMN model_metrics.model IS 'name in the registry';
COMMENT ON COLUMN model_metrics.version IS 'version in the registry';
COMMENT ON COLUMN model_metrics.commit_id IS 'commit that wrote the row; see commits';
