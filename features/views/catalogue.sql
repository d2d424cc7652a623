CREATE VIEW catalogue AS
WITH lowest AS (
    SELECT feature, min(icc) AS lowest_icc, arg_min(perturbation, icc) AS under, arg_min(roi, icc) AS roi
    FROM feature_stability JOIN current_versions USING (version) GROUP BY feature)
SELECT feature, family, image, name, nullif(ibsi, '') AS ibsi, unit, meaning, lowest_icc, under AS lowest_under, roi AS lowest_in
FROM (VALUES $catalogue_rows) AS listed (feature, family, image, name, ibsi, unit, meaning) LEFT JOIN lowest USING (feature);
COMMENT ON VIEW catalogue IS 'what each radiomics feature is: features/catalogue.csv; join it on feature';
COMMENT ON COLUMN catalogue.feature IS 'name of the feature, as in radiomics and radiomics_long';
COMMENT ON COLUMN catalogue.family IS 'shape, firstorder, glcm, glrlm, glszm, gldm or ngtdm';
COMMENT ON COLUMN catalogue.image IS 'image it is measured on: original, a wavelet band or a LoG image';
COMMENT ON COLUMN catalogue.name IS 'name within its family';
COMMENT ON COLUMN catalogue.ibsi IS 'IBSI identifier of the formula; NULL where IBSI has none';
COMMENT ON COLUMN catalogue.unit IS 'unit; sd/100 is a hundredth of the image''s standard deviation';
COMMENT ON COLUMN catalogue.meaning IS 'one line';
COMMENT ON COLUMN catalogue.lowest_icc IS 'lowest ICC of the current definition over perturbations and ROIs, see feature_stability; NULL where it was not measured';
COMMENT ON COLUMN catalogue.lowest_under IS 'perturbation with that ICC';
COMMENT ON COLUMN catalogue.lowest_in IS 'ROI with that ICC';
