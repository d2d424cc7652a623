-- Tags of one logged model that was not deleted; one row of NULL where it has none.
SELECT t.tag_key AS name, t.tag_value AS value
FROM logged_models m LEFT JOIN logged_model_tags t ON t.model_id = m.model_id
WHERE m.model_id = :model_id AND m.lifecycle_stage = 'active'
