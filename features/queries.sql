-- ## The relations
-- What is there?
SHOW TABLES;

-- What are the columns of a relation?
DESCRIBE patients;

-- What does a column mean?
SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'rois';

-- ## The cohort
-- Patients and deaths of each center, with the median follow-up of those alive:
SELECT center, count(*) AS patients, count(*) FILTER (event) AS deaths, median(time) FILTER (NOT event) / 365.25 AS followed_years
FROM patients GROUP BY center ORDER BY center;

-- Who was refused, and what to do about it:
SELECT center, patient, rule, found, advice FROM rejections ORDER BY center, patient;

-- Clinical records that contradict what is stored: held back until they are confirmed (`clinical`), or taken with a remark (`remark`):
SELECT center, patient, stage, rule, found, advice FROM rejections WHERE stage IN ('clinical', 'remark');

-- Patients who are no longer sent:
SELECT center, patient, found, "at", returned FROM departures ORDER BY "at" DESC;

-- How often each rule refuses:
SELECT center, rule, count(*) AS n FROM rejections GROUP BY ALL ORDER BY n DESC;

-- Stage by center, as a table with a column for each center:
PIVOT patients ON center USING count(*) GROUP BY overall_stage ORDER BY overall_stage;

-- Scans worth a second look:
SELECT patient, center, status, spacing FROM images WHERE status = 'flagged' OR spacing[1] > 4;

-- Volume of tumor and rings in milliliters:
SELECT center, roi, count(*) AS n, round(median(volume_mm3) / 1000, 1) AS median_ml FROM rois GROUP BY ALL ORDER BY center, roi;

-- ## Features
-- Which definition do the relations show?
SELECT kind, version, label FROM current_versions JOIN feature_versions USING (kind, version);

-- One feature with the outcome:
SELECT patient, center, time, event, "original_shape_MeshVolume" FROM gtv_outcome ORDER BY "original_shape_MeshVolume" DESC LIMIT 10;

-- All wavelet features of a ring, by a pattern:
SELECT patient, COLUMNS('wavelet-LLH_.*') FROM ring_3mm_outcome LIMIT 5;

-- The same feature in all four ROIs:
PIVOT (SELECT patient, roi, "original_glcm_Contrast" AS contrast FROM radiomics) ON roi USING first(contrast) ORDER BY patient;

-- Mean and spread of each feature at each center:
SELECT feature, center, count(*) AS n, avg(value) AS mean, stddev_samp(value) AS sd
FROM radiomics_long WHERE roi = 'gtv' GROUP BY ALL ORDER BY feature, center;

-- Features that differ most between two centers:
SELECT roi, feature, center, other, round(smd, 2) AS smd FROM center_drift WHERE abs(smd) > 0.8 ORDER BY abs(smd) DESC LIMIT 20;

-- Which features follow the volume? (The classic trap of radiomics.)
SELECT f.feature, round(corr(f.value, volume.value), 3) AS r
FROM radiomics_long AS f JOIN radiomics_long AS volume USING (patient, roi, version)
WHERE roi = 'gtv' AND volume.feature = 'original_shape_MeshVolume' AND f.feature <> volume.feature
GROUP BY ALL ORDER BY abs(r) DESC LIMIT 10;

-- What is this feature, by family, image, IBSI identifier and unit? The catalogue joins on the feature's name:
SELECT c.family, c.image, c.name, c.ibsi, c.unit, round(avg(value), 3) AS mean
FROM radiomics_long JOIN catalogue AS c USING (feature) WHERE roi = 'gtv' AND c.ibsi IS NOT NULL GROUP BY ALL ORDER BY ALL LIMIT 20;

-- Which features depend on how the scan was made or drawn? After `penumbra stability`; `catalogue` has the lowest ICC of each feature as `lowest_icc`:
SELECT roi, feature, perturbation, icc, "lower", patients FROM feature_stability WHERE "lower" < 0.75 ORDER BY icc LIMIT 20;

-- Count, missing values, mean, spread and quantiles of every feature at each center:
SELECT feature, center, n, missing, mean, sd, q05, median, q95 FROM feature_statistics WHERE kind = 'radiomics' AND roi = 'gtv' ORDER BY feature, center;

-- The same feature under every definition that was computed:
SELECT version, center, round(mean, 3) AS mean, n FROM feature_statistics_all
WHERE roi = 'gtv' AND feature = 'original_shape_MeshVolume' ORDER BY version, center;

-- What is missing for whom?
SELECT center, kind, version, roi, count(*) FILTER (NOT present) AS missing FROM coverage GROUP BY ALL HAVING missing > 0;

-- Definitions of features, and their settings:
SELECT version, kind, len(features) AS features, created_at, params FROM feature_versions ORDER BY created_at;

-- ## Models
-- Concordance of every registered version at every center, and its change from the previous version:
SELECT version, alias, center, split, round(value, 3) AS c, round(lower, 3) AS lower, round(upper, 3) AS upper, round(change, 3) AS change
FROM version_metrics WHERE metric = 'harrell_c' ORDER BY created_at, center;

-- What each model is worth inside the training centers, where it did not see the patient (cross-fitted; C counted over pairs of one center), and against volume:
SELECT inside.version, inside.model, round(inside.value, 3) AS c, round(se.value, 3) AS se,
       round(volume.value, 3) AS minus_volume, round(volume.lower, 3) AS lower, round(volume.upper, 3) AS upper
FROM model_metrics AS inside
LEFT JOIN model_metrics AS se ON se.metric = 'harrell_c_se' AND (se.model, se.version, se.center, se.split) = (inside.model, inside.version, inside.center, inside.split)
LEFT JOIN model_metrics AS volume
    ON volume.metric = 'delta_c_volume' AND (volume.model, volume.version, volume.center, volume.split) = (inside.model, inside.version, inside.center, inside.split)
WHERE inside.metric = 'harrell_c' AND inside.split = 'cross_fitted' AND inside.center = 'training'
ORDER BY inside.version, c DESC;

-- Groups that the champion predicted, against what happened:
SELECT center, risk_group, count(*) AS n, avg(event::INT) AS died, median(time) AS median_days
FROM predictions JOIN patients USING (patient, center) JOIN model_versions USING (model, version)
WHERE alias LIKE '%champion%' GROUP BY ALL ORDER BY center, risk_group;

-- Predicted survival at every day that a version answers for; NULL beyond the follow-up of its training patients:
SELECT version, days, count(survival) AS patients, round(avg(survival), 2) AS survival
FROM prediction_horizons GROUP BY ALL ORDER BY version, days;

-- Patients whose prediction is far from the outcome:
SELECT patient, center, round(survival_2y, 2) AS survival_2y, time, event
FROM predictions JOIN patients USING (patient, center) JOIN model_versions USING (model, version)
WHERE alias LIKE '%champion%' AND ((survival_2y > 0.5 AND event AND time < 365) OR (survival_2y < 0.7 AND time > 730));

-- Which patients was the champion fitted on?
SELECT uses.center, count(*) AS patients, min(patient) AS first, max(patient) AS last
FROM model_uses AS uses JOIN model_versions USING (model, version) WHERE alias = 'champion' AND split = 'train' GROUP BY uses.center;

-- Which models used this patient?
SELECT model, version, split, source FROM model_uses WHERE patient = 'N001' AND center = 'north';

-- ## History
-- What was written, when, and why:
SELECT id, "at", run, what, "rows", relations FROM commits ORDER BY id DESC LIMIT 20;

-- Rows that a commit brought (then ask with `--as-of`):
SELECT commit_id, center, count(*) AS patients FROM patients GROUP BY ALL ORDER BY commit_id;
