-- Every time that a version of a model scored a patient whom it was not fitted on, whose outcome then was unknown or differed from today's.
-- A prediction of another scan under the same name is of another person; where no scan was noted, or none is stored, the name has to do.
WITH said AS (
    SELECT model, version, patient, center, image_version, log_risk, "at", commit_id
    FROM stored.predictions ANTI JOIN stored.gone USING (patient, center) WHERE model = ?),
told AS (
    SELECT said.*, known.time AS known_time, known.event AS known_event
    FROM said ASOF LEFT JOIN stored.patients AS known
      ON known.patient = said.patient AND known.center = said.center AND known.commit_id <= said.commit_id),
scans AS (SELECT patient, center, list(DISTINCT image_version) AS versions FROM stored.images GROUP BY ALL)
SELECT told.version, told.patient, told.center, told.log_risk, told."at" AS scored_at, patients.time, patients.event, told.known_time, told.known_event,
       coalesce(fit.intercept + fit.slope * told.log_risk, told.log_risk) AS answered_risk
FROM told
JOIN patients ON patients.patient = told.patient AND patients.center = told.center
LEFT JOIN stored.recalibrations AS fit
  ON fit.patient = told.patient AND fit.center = told.center AND fit.model = told.model AND fit.version = told.version AND fit.commit_id = told.commit_id
LEFT JOIN scans ON scans.patient = told.patient AND scans.center = told.center
LEFT JOIN model_uses AS fitted
  ON fitted.model = told.model AND fitted.version = told.version AND fitted.patient = told.patient AND fitted.center = told.center AND fitted.split = 'train'
WHERE patients.time IS NOT NULL AND fitted.patient IS NULL
  AND (told.known_time IS NULL OR told.known_time <> patients.time OR told.known_event <> patients.event)
  AND (told.image_version IS NULL OR scans.versions IS NULL OR list_contains(scans.versions, told.image_version))
ORDER BY told.version, told.center, told.patient, told.commit_id
