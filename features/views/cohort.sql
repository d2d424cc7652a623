-- Whatever was said of a patient: why it is not used, what was remarked, and the findings of the mask. The gravest comes first.
CREATE VIEW cohort AS
WITH reasons AS (
    SELECT patient, center, CASE stage WHEN 'ingest' THEN 1 WHEN 'clinical' THEN 3 WHEN 'remark' THEN 3 ELSE 2 END AS rank, stage, rule, found, advice
    FROM rejections WHERE patient IS NOT NULL
    UNION ALL
    SELECT patient, center, 4, 'certificate', finding ->> 'rule', finding ->> 'found', finding ->> 'advice'
    FROM (SELECT patient, center, unnest(from_json(certificate -> 'findings', '["JSON"]')) AS finding FROM images WHERE status <> 'accepted')),
judged AS MATERIALIZED (
    SELECT patient, center, min(rank) AS rank, arg_min(stage, rank) AS stage, arg_min(rule, rank) AS rule, arg_min(found, rank) AS found,
           arg_min(advice, rank) AS advice, list(rule ORDER BY rank, rule) AS rules
    FROM reasons GROUP BY ALL),
masks AS (
    SELECT patient, center, max(volume_mm3) FILTER (roi = 'gtv') AS volume_mm3, max(lost_mm3 / nullif(lost_mm3 + volume_mm3, 0)) AS lost
    FROM rois GROUP BY ALL)
SELECT patient, center,
       CASE WHEN judged.rank = 1 THEN 'rejected' WHEN judged.rank = 2 THEN 'excluded' WHEN images.patient IS NULL THEN 'without scan'
            WHEN judged.rank > 2 OR images.status <> 'accepted' THEN 'remarked' ELSE 'accepted' END AS status,
       judged.stage, judged.rule, judged.found, judged.advice, coalesce(judged.rules, []) AS rules,
       images.image_version, masks.volume_mm3, coalesce(json_array_length(images.certificate -> 'findings'), 0) AS findings,
       abs((images.certificate ->> 'grid_mm3')::DOUBLE / nullif((images.certificate ->> 'planimetric_mm3')::DOUBLE, 0) - 1) AS apart, masks.lost,
       people.age, people.sex, people.histology, people.overall_stage, people."time", people.event
FROM (SELECT patient, center FROM patients UNION SELECT patient, center FROM images UNION SELECT patient, center FROM judged) AS everyone
     LEFT JOIN judged USING (patient, center) LEFT JOIN images USING (patient, center) LEFT JOIN masks USING (patient, center)
     LEFT JOIN patients AS people USING (patient, center);
COMMENT ON VIEW cohort IS 'each patient who arrived and what became of them: accepted, remarked, excluded or rejected, why, and what to do about it';
COMMENT ON COLUMN cohort.patient IS 'pseudonym';
COMMENT ON COLUMN cohort.center IS 'center that sent the patient';
COMMENT ON COLUMN cohort.status IS 'rejected at ingest; excluded by a later stage; without scan; remarked: used, but worth a look; accepted';
COMMENT ON COLUMN cohort.stage IS 'where the gravest reason comes from: a stage, clinical, remark or certificate; NULL: there is none';
COMMENT ON COLUMN cohort.rule IS 'its rule; see penumbra rules';
COMMENT ON COLUMN cohort.found IS 'what was found';
COMMENT ON COLUMN cohort.advice IS 'what to do';
COMMENT ON COLUMN cohort.rules IS 'the rules of all reasons, the gravest first';
COMMENT ON COLUMN cohort.image_version IS 'newest accepted scan';
COMMENT ON COLUMN cohort.volume_mm3 IS 'volume of the GTV on the 1 mm grid';
COMMENT ON COLUMN cohort.findings IS 'findings of the mask''s certificate';
COMMENT ON COLUMN cohort.apart IS 'difference between the volume in voxels and that by the contours, as a share; NULL: the mask came as voxels';
COMMENT ON COLUMN cohort.lost IS 'largest share of a ring that is beyond the scan';
COMMENT ON COLUMN cohort.age IS 'years at diagnosis';
COMMENT ON COLUMN cohort.sex IS 'female or male';
COMMENT ON COLUMN cohort.histology IS 'as the center names it, normalized';
COMMENT ON COLUMN cohort.overall_stage IS 'overall stage, I to IV with letters';
COMMENT ON COLUMN cohort."time" IS 'days to death or last contact, from the day that the center counts from (best the start of treatment)';
COMMENT ON COLUMN cohort.event IS 'true: died at time; false: alive then (censored)';
