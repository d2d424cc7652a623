-- Every model's champion, the newest first.
SELECT model, version, train_centers, created_at, (SELECT count(*) FROM model_versions AS every WHERE every.model = champion.model) AS versions
FROM model_versions AS champion
WHERE alias = 'champion'
ORDER BY created_at DESC
