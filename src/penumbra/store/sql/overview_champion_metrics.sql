-- C of every champion and of tumor volume alone: the served model's rows have the name of the registered model.
SELECT champion.model, champion.version, measured.center, measured.split,
       CASE WHEN measured.model = 'Volume' THEN 'volume_c' ELSE measured.metric END AS metric,
       measured."value", measured."lower", measured."upper", measured.n, measured.events
FROM model_metrics AS measured JOIN model_versions AS champion USING (version)
WHERE champion.alias = 'champion' AND measured.model IN (champion.model, 'Volume') AND measured.metric = 'harrell_c' AND measured."value" IS NOT NULL
ORDER BY champion.model, measured.center
