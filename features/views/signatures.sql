CREATE VIEW signatures AS
SELECT patient, center, signature, model_version, score, image_version, commit_id
FROM stored.signatures
QUALIFY row_number() OVER (PARTITION BY patient, signature, model_version ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW signatures IS 'score of a patient by one signature of a model';
COMMENT ON COLUMN signatures.patient IS 'pseudonym';
COMMENT ON COLUMN signatures.signature IS 'name of the signature';
COMMENT ON COLUMN signatures.model_version IS 'version of the model it belongs to';
COMMENT ON COLUMN signatures.score IS 'higher means earlier death';
COMMENT ON COLUMN signatures.center IS 'center of the patient';
COMMENT ON COLUMN signatures.image_version IS 'image it comes from';
COMMENT ON COLUMN signatures.commit_id IS 'commit that wrote the row; see commits';
