-- Where no list of patients was written with a version, it is the training centers' patients that the store held then.
CREATE VIEW model_uses AS
WITH derived AS (
    SELECT model_versions.model, model_versions.version, first.patient, first.center, 'train' AS split, 'derived' AS source
    FROM model_versions JOIN (SELECT patient, center, min(commit_id) AS commit_id FROM stored.patients GROUP BY ALL) AS first
      ON list_contains(model_versions.train_centers, first.center) AND first.commit_id <= model_versions.store_commit
    WHERE NOT EXISTS (FROM model_patients AS told WHERE told.model = model_versions.model AND told.version = model_versions.version))
SELECT model, version, patient, center, split, 'recorded' AS source FROM model_patients
UNION ALL
FROM derived;
COMMENT ON VIEW model_uses IS 'which patients a registered version used';
COMMENT ON COLUMN model_uses.model IS 'name in the registry';
COMMENT ON COLUMN model_uses.version IS 'version in the registry';
COMMENT ON COLUMN model_uses.patient IS 'pseudonym';
COMMENT ON COLUMN model_uses.center IS 'center of the patient';
COMMENT ON COLUMN model_uses.split IS 'what it was used for: train; update: to fit what the version changes at one center; or as recorded with the version';
COMMENT ON COLUMN model_uses.source IS 'recorded with the version, or derived from its training centers';
