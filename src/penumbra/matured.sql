-- Patients that a version scored before their newest outcome was in the store, and that did not fit it.
WITH scored AS (
    SELECT model, version, patient, center, min(commit_id) AS scored_at FROM stored.predictions WHERE model = ? GROUP BY ALL)
SELECT scored.version, scored.patient, patients.center, predictions.log_risk, patients.time, patients.event
FROM scored
JOIN patients ON patients.patient = scored.patient AND patients.commit_id > scored.scored_at
JOIN predictions ON predictions.model = scored.model AND predictions.version = scored.version AND predictions.patient = scored.patient
LEFT JOIN model_uses AS fitted
  ON fitted.model = scored.model AND fitted.version = scored.version AND fitted.patient = scored.patient AND fitted.split = 'train'
WHERE patients.time IS NOT NULL AND fitted.patient IS NULL
ORDER BY scored.version, patients.center, scored.patient
