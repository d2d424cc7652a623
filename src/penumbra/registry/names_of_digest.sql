-- Under which names MLflow has a version of a digest.
SELECT DISTINCT t.name AS name
FROM model_version_tags t JOIN model_versions v ON v.name = t.name AND v.version = t.version
WHERE t.key = 'digest' AND t.value = :digest AND v.current_stage <> 'Deleted_Internal'
ORDER BY t.name
