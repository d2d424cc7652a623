-- Rows of the image of each patient that is shown.
CREATE VIEW stored.radiomics_vectors_all AS
FROM stored.radiomics SEMI JOIN stored.radiomics_shown USING (patient, center, image_version);
