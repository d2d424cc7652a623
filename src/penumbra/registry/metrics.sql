-- Newest value of every metric of one logged model with the center (dataset) it was measured on.
SELECT metric_name AS name, metric_value AS value, dataset_name AS center
FROM (SELECT *, row_number() OVER (PARTITION BY metric_name, dataset_name ORDER BY metric_timestamp_ms DESC, metric_step DESC) AS age
      FROM logged_model_metrics WHERE model_id = :model_id)
WHERE age = 1
ORDER BY name, center
