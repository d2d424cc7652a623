-- Standardized mean difference, with the root of the mean of both variances (Cohen 1988; Austin 2009).
-- Grouped by two small numbers, the place of a feature and that of its version, ROI and center: by their names it takes several times as long.
CREATE VIEW center_drift$all AS
WITH parts AS (SELECT version, roi, center, row_number() OVER (ORDER BY version, roi, center) AS part FROM (SELECT DISTINCT version, roi, center FROM stored.radiomics_vectors$all)),
each AS (
    SELECT part, unnest(range(1, len($radiomics_names) + 1)) AS place, unnest($radiomics_values) AS "value"
    FROM stored.radiomics_vectors$all JOIN parts USING (version, roi, center)),
sums AS (
    SELECT part, place, count("value") AS n, avg("value") AS mean, stddev_samp("value") AS sd
    FROM each WHERE isfinite("value") AND place IS NOT NULL GROUP BY part, place),
moments AS (SELECT version, roi, center, ($radiomics_names)[place] AS feature, n, mean, sd FROM sums JOIN parts USING (part))
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
