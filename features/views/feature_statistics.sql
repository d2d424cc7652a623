-- One pass over the vectors. A feature that its version does not declare is not counted as missing.
CREATE VIEW feature_statistics$all AS
WITH each AS (
    SELECT 'radiomics' AS kind, version, roi, center, unnest($radiomics_names) AS feature, unnest($radiomics_values) AS "value" FROM stored.radiomics_vectors$all
    UNION ALL
    SELECT 'deep', version, roi, center, unnest($deep_names), unnest($deep_values) FROM stored.deep_vectors$all),
told AS (
    SELECT kind, version, roi, center, feature, count(*) AS patients, count("value") FILTER (isfinite("value")) AS n,
           avg("value") FILTER (isfinite("value")) AS mean, stddev_samp("value") FILTER (isfinite("value")) AS sd,
           quantile_cont("value", [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]) FILTER (isfinite("value")) AS q
    FROM each WHERE feature IS NOT NULL GROUP BY ALL)
SELECT told.kind, version, roi, feature, center, n, patients - n AS missing, mean, sd, q[1] AS "min", q[2] AS q05, q[3] AS q25, q[4] AS median, q[5] AS q75,
       q[6] AS q95, q[7] AS "max"
FROM told LEFT JOIN stored.feature_versions AS declared USING (version)
WHERE n > 0 OR list_contains(declared.features, feature);
COMMENT ON VIEW feature_statistics$all IS 'how a feature is distributed at a center in one ROI, under $definition';
COMMENT ON COLUMN feature_statistics$all.kind IS 'radiomics or deep';
COMMENT ON COLUMN feature_statistics$all.version IS 'definition of the feature';
COMMENT ON COLUMN feature_statistics$all.roi IS 'region of interest';
COMMENT ON COLUMN feature_statistics$all.feature IS 'name of the feature';
COMMENT ON COLUMN feature_statistics$all.center IS 'center of the patients';
COMMENT ON COLUMN feature_statistics$all.n IS 'patients with a finite value';
COMMENT ON COLUMN feature_statistics$all.missing IS 'patients without one';
COMMENT ON COLUMN feature_statistics$all.mean IS 'mean';
COMMENT ON COLUMN feature_statistics$all.sd IS 'standard deviation, n - 1';
COMMENT ON COLUMN feature_statistics$all."min" IS 'smallest';
COMMENT ON COLUMN feature_statistics$all.q05 IS '5th percentile, linearly interpolated';
COMMENT ON COLUMN feature_statistics$all.q25 IS '25th percentile';
COMMENT ON COLUMN feature_statistics$all.median IS 'median';
COMMENT ON COLUMN feature_statistics$all.q75 IS '75th percentile';
COMMENT ON COLUMN feature_statistics$all.q95 IS '95th percentile';
COMMENT ON COLUMN feature_statistics$all."max" IS 'largest';
