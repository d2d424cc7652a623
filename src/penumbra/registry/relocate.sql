-- MLflow stores the places of artifacts as absolute addresses. In a home that was copied, moved or restored they name the old place:
-- this makes them name the new one (:now), so that a new version is not written into another home.
UPDATE experiments SET artifact_location = :now || substr(artifact_location, length(:before) + 1) WHERE substr(artifact_location, 1, length(:before)) = :before;
UPDATE runs SET artifact_uri = :now || substr(artifact_uri, length(:before) + 1) WHERE substr(artifact_uri, 1, length(:before)) = :before;
UPDATE logged_models SET artifact_location = :now || substr(artifact_location, length(:before) + 1) WHERE substr(artifact_location, 1, length(:before)) = :before;
UPDATE model_versions SET source = :now || substr(source, length(:before) + 1) WHERE substr(source, 1, length(:before)) = :before;
UPDATE model_versions SET storage_location = :now || substr(storage_location, length(:before) + 1) WHERE substr(storage_location, 1, length(:before)) = :before;
