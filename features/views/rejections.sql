-- A refusal holds until the same stage refuses the patient for another reason, until the patient passes it, or until the center no longer sends the
-- patient.
CREATE VIEW rejections AS
WITH latest AS (
    SELECT *, max(commit_id) OVER (PARTITION BY patient, center, stage, CASE WHEN patient IS NULL THEN concat_ws('|', rule, found) END) AS latest
    FROM stored.rejections),
mended AS (SELECT center, stage, max(commit_id) AS passed FROM stored.rejections WHERE patient IS NULL AND rule = 'clinical_table_sent_again' GROUP BY ALL),
accepted AS (SELECT patient, center, max(commit_id) AS passed FROM stored.images GROUP BY ALL),
populated AS (SELECT patient, center, max(commit_id) AS passed FROM stored.radiomics GROUP BY ALL),
embedded AS (SELECT patient, center, max(commit_id) AS passed FROM stored.deep GROUP BY ALL)
SELECT latest.patient, latest.center, latest.stage, rule, found, advice, "at", latest.commit_id
FROM latest LEFT JOIN accepted USING (patient, center) LEFT JOIN populated USING (patient, center) LEFT JOIN embedded USING (patient, center)
     LEFT JOIN mended ON latest.patient IS NULL AND mended.center = latest.center AND mended.stage = latest.stage
     LEFT JOIN stored.gone AS gone ON gone.patient = latest.patient AND gone.center = latest.center
WHERE latest.commit_id = latest.latest
  AND coalesce(mended.passed, 0) < latest.commit_id
  AND coalesce(accepted.passed, 0) <= latest.commit_id
  AND coalesce(gone.commit_id, 0) < latest.commit_id
  AND (latest.stage <> 'populate' OR coalesce(populated.passed, 0) <= latest.commit_id)
  AND (latest.stage NOT IN ('train', 'embed') OR coalesce(embedded.passed, 0) <= latest.commit_id);
COMMENT ON VIEW rejections IS 'what is currently refused, and what to do about it; a patient accepted later is no longer listed (see --as-of)';
COMMENT ON COLUMN rejections.patient IS 'pseudonym; NULL where it could not be read';
COMMENT ON COLUMN rejections.center IS 'center that sent it';
COMMENT ON COLUMN rejections.stage IS 'stage that refused it';
COMMENT ON COLUMN rejections.rule IS 'the rule that was broken';
COMMENT ON COLUMN rejections.found IS 'what was found';
COMMENT ON COLUMN rejections.advice IS 'what to do';
COMMENT ON COLUMN rejections."at" IS 'when, UTC';
COMMENT ON COLUMN rejections.commit_id IS 'commit that wrote the row; see commits';
