CREATE VIEW catalogue AS
SELECT feature, family, image, name, nullif(ibsi, '') AS ibsi, unit, meaning
FROM (VALUES $catalogue_rows) AS listed (feature, family, image, name, ibsi, unit, meaning);
COMMENT ON VIEW catalogue IS 'what each radiomics feature is: features/catalogue.csv; join it on feature';
COMMENT ON COLUMN catalogue.feature IS 'name of the feature, as in radiomics and radiomics_long';
COMMENT ON COLUMN catalogue.family IS 'shape, firstorder, glcm, glrlm, glszm, gldm or ngtdm';
COMMENT ON COLUMN catalogue.image IS 'image it is measured on: original, a wavelet band or a LoG image';
COMMENT ON COLUMN catalogue.name IS 'name within its family';
COMMENT ON COLUMN catalogue.ibsi IS 'IBSI identifier of the formula; NULL where IBSI has none';
COMMENT ON COLUMN catalogue.unit IS 'unit; sd/100 is a hundredth of the image''s standard deviation';
COMMENT ON COLUMN catalogue.meaning IS 'one line';
