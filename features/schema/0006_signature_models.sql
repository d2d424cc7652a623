-- Two models can have a version 1 each: a score belongs to the version of a model. Earlier rows get the model that had their version first.
ALTER TABLE lake.signatures ADD COLUMN model VARCHAR;
UPDATE lake.signatures SET model = (SELECT arg_min(known.model, known.commit_id) FROM lake.model_versions AS known WHERE known.version = model_version);
