-- Names of the registered models (a table of MLflow's registry, read only).
SELECT name FROM registered_models ORDER BY name
