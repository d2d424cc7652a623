CREATE VIEW feature_stability AS
SELECT version, roi, feature, perturbation, icc, "lower", "upper", patients, levels, reason, commit_id
FROM stored.feature_stability
QUALIFY row_number() OVER (PARTITION BY version, roi, feature, perturbation ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW feature_stability IS 'how far a feature of training patients agrees with itself under a perturbation of scan or mask; the newest measurement (penumbra stability)';
COMMENT ON COLUMN feature_stability.version IS 'definition of the feature, see feature_versions';
COMMENT ON COLUMN feature_stability.roi IS 'region of interest';
COMMENT ON COLUMN feature_stability.feature IS 'name of the feature, as in radiomics';
COMMENT ON COLUMN feature_stability.perturbation IS 'noise, thickness, shift, rotation or mask';
COMMENT ON COLUMN feature_stability.icc IS 'ICC(2,1), absolute agreement, of the scan as it is and of all levels together; NULL with a reason';
COMMENT ON COLUMN feature_stability."lower" IS 'lower end of its 95 % confidence interval, which fuse.stability asks for';
COMMENT ON COLUMN feature_stability."upper" IS 'upper end';
COMMENT ON COLUMN feature_stability.patients IS 'training patients that it was measured on';
COMMENT ON COLUMN feature_stability.levels IS 'of the perturbation, with their unit';
COMMENT ON COLUMN feature_stability.reason IS 'why there is no value';
COMMENT ON COLUMN feature_stability.commit_id IS 'commit that wrote the row; see commits';
