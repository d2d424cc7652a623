CREATE VIEW looks AS
SELECT center, split, stage, evaluation, model, version, patients, events, code_commit, "at", commit_id
FROM stored.looks;
COMMENT ON VIEW looks IS 'an evaluation on outcomes of a center that the evaluated models were not fitted on: count the rows to know how often a center was read';
COMMENT ON COLUMN looks.center IS 'center whose outcomes were read';
COMMENT ON COLUMN looks.split IS 'test, or live: patients scored before their outcome was known';
COMMENT ON COLUMN looks.stage IS 'what read them: evaluate, report, validation, recalibration, challenge, compare, monitor, drift ...';
COMMENT ON COLUMN looks.evaluation IS 'key of the models, patients and numbers; the same key is the same question asked again';
COMMENT ON COLUMN looks.model IS 'name in the registry; NULL where no model was evaluated';
COMMENT ON COLUMN looks.version IS 'version in the registry, several separated by commas; NULL where what was evaluated had none yet';
COMMENT ON COLUMN looks.patients IS 'how many were read there';
COMMENT ON COLUMN looks.events IS 'how many of them died';
COMMENT ON COLUMN looks.code_commit IS 'revision of the code, NULL where it is not known';
COMMENT ON COLUMN looks."at" IS 'when, UTC';
COMMENT ON COLUMN looks.commit_id IS 'commit that wrote the row; see commits';
