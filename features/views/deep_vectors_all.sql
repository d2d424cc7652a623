-- Rows of the image of each patient that is shown.
CREATE VIEW stored.deep_vectors_all AS
FROM stored.deep SEMI JOIN stored.deep_shown USING (patient, center, image_version);
