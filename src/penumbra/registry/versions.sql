-- Versions of one registered model with their aliases and tags, oldest first, deleted ones too (tables of MLflow's registry, read only).
SELECT v.version AS version, v.run_id AS run_id, v.creation_time AS created_ms, coalesce(v.source, '') AS source,
       v.current_stage = 'Deleted_Internal' AS deleted,
       (SELECT json_group_array(a.alias) FROM registered_model_aliases a WHERE a.name = v.name AND a.version = v.version) AS aliases,
       (SELECT json_group_object(t.key, t.value) FROM model_version_tags t WHERE t.name = v.name AND t.version = v.version) AS tags
FROM model_versions v
WHERE v.name = :model
ORDER BY v.version
