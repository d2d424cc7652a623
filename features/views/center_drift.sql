-- Standardized mean difference, with the root of the mean of both variances (Cohen 1988; Austin 2009).
-- Values stay in their lists of 64 until they are summed: a row for each value, grouped by its feature, takes six times as long.
CREATE VIEW center_drift$all AS
WITH parts AS (SELECT version, roi, center, row_number() OVER (ORDER BY version, roi, center) AS part FROM (SELECT DISTINCT version, roi, center FROM stored.radiomics_vectors$all)),
each AS (
    SELECT part, unnest(range(1, 65)) AS place, unnest(COLUMNS('^v\d')) AS "\0"
    FROM stored.radiomics_vectors$all JOIN parts USING (version, roi, center)),
finite AS (SELECT part, place, CASE WHEN isfinite(COLUMNS('^v\d')) THEN COLUMNS('^v\d') END AS "\0" FROM each),
sums AS (
    SELECT part, place, count(COLUMNS('^v\d')) AS "n_\0", avg(COLUMNS('^v\d')) AS "mean_\0", stddev_samp(COLUMNS('^v\d')) AS "sd_\0"
    FROM finite GROUP BY part, place),
lists AS (
    SELECT part, place, list_value(*COLUMNS('^n_v')) AS n, list_value(*COLUMNS('^mean_v')) AS mean, list_value(*COLUMNS('^sd_v')) AS sd FROM sums),
spread AS (SELECT part, place + 64 * unnest(range(len(n))) AS place, unnest(n) AS n, unnest(mean) AS mean, unnest(sd) AS sd FROM lists),
moments AS (SELECT version, roi, center, ($radiomics_names)[place] AS feature, n, mean, sd FROM spread JOIN parts USING (part) WHERE n > 0)
SELECT a.version, a.roi, a.feature, a.center, b.center AS other, a.n, b.n AS other_n, a.mean, b.mean AS other_mean, a.sd, b.sd AS other_sd,
       (a.mean - b.mean) / nullif(sqrt((a.sd ^ 2 + b.sd ^ 2) / 2), 0) AS smd
FROM moments AS a JOIN moments AS b ON a.version = b.version AND a.roi = b.roi AND a.feature = b.feature AND a.center < b.center;
COMMENT ON VIEW center_drift$all IS 'how differently a feature is distributed at two centers, under $definition';
COMMENT ON COLUMN center_drift$all.version IS 'definition of the feature';
COMMENT ON COLUMN center_drift$all.roi IS 'region of interest';
COMMENT ON COLUMN center_drift$all.feature IS 'name of the feature';
COMMENT ON COLUMN center_drift$all.center IS 'one center';
COMMENT ON COLUMN center_drift$all.other IS 'the other center (alphabetically later)';
COMMENT ON COLUMN center_drift$all.n IS 'patients with a finite value at center';
COMMENT ON COLUMN center_drift$all.other_n IS 'at the other';
COMMENT ON COLUMN center_drift$all.mean IS 'mean at center';
COMMENT ON COLUMN center_drift$all.other_mean IS 'at the other';
COMMENT ON COLUMN center_drift$all.sd IS 'standard deviation at center, n - 1';
COMMENT ON COLUMN center_drift$all.other_sd IS 'at the other';
COMMENT ON COLUMN center_drift$all.smd IS 'difference of the means over the pooled standard deviation; beyond 0.2 small, 0.5 medium, 0.8 large';
