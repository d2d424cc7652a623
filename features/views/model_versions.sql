CREATE VIEW model_versions AS
SELECT model, version, alias, run_id, store_commit, train_centers, digest, params, created_at, commit_id
FROM stored.model_versions
QUALIFY row_number() OVER (PARTITION BY model, version ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW model_versions IS 'a registered version of a model';
COMMENT ON COLUMN model_versions.model IS 'name in the registry';
COMMENT ON COLUMN model_versions.version IS 'version in the registry';
COMMENT ON COLUMN model_versions.alias IS 'champion: the one that is served; challenger: the one that may replace it; deleted: MLflow no longer has the version';
COMMENT ON COLUMN model_versions.run_id IS 'run in the tracking server';
COMMENT ON COLUMN model_versions.store_commit IS 'commit of the store that it was trained on';
COMMENT ON COLUMN model_versions.train_centers IS 'centers that it was fitted on';
COMMENT ON COLUMN model_versions.digest IS 'SHA-256 of its content';
COMMENT ON COLUMN model_versions.params IS 'its settings, JSON';
COMMENT ON COLUMN model_versions.created_at IS 'UTC';
COMMENT ON COLUMN model_versions.commit_id IS 'commit that wrote the row; see commits';
