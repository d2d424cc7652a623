-- When MLflow made the registered model; no row where it has none of this name.
SELECT creation_time AS created_ms FROM registered_models WHERE name = :model
