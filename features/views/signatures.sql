CREATE VIEW signatures$all AS
SELECT patient, center, signature, model, model_version, score, image_version, commit_id
FROM stored.signatures ANTI JOIN stored.gone USING (patient, center)$of_newest_model
QUALIFY row_number() OVER (PARTITION BY patient, signature, model, model_version ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW signatures$all IS 'score of a patient by one signature of $models';
COMMENT ON COLUMN signatures$all.patient IS 'pseudonym';
COMMENT ON COLUMN signatures$all.signature IS 'name of the signature';
COMMENT ON COLUMN signatures$all.model IS 'name of the model in the registry';
COMMENT ON COLUMN signatures$all.model_version IS 'version of the model it belongs to';
COMMENT ON COLUMN signatures$all.score IS 'higher means earlier death';
COMMENT ON COLUMN signatures$all.center IS 'center of the patient';
COMMENT ON COLUMN signatures$all.image_version IS 'image it comes from';
COMMENT ON COLUMN signatures$all.commit_id IS 'commit that wrote the row; see commits';
