-- Rows of each patient's newest image: the one in images, or where the scan itself was never stored the newest that has features.
-- Relations are named in full: in this schema, images alone would mean the stored table.
CREATE VIEW stored.radiomics_vectors_all AS
WITH own AS (
    SELECT patient, center, max({'commit_id': commit_id, 'image_version': image_version}).image_version AS image_version
    FROM stored.radiomics ANTI JOIN stored.gone USING (patient, center) GROUP BY ALL),
shown AS (
    SELECT own.patient, own.center, coalesce(images.image_version, own.image_version) AS image_version
    FROM own LEFT JOIN memory.main.images AS images USING (patient, center))
SELECT kept.*
FROM stored.radiomics AS kept JOIN shown ON kept.patient = shown.patient AND kept.center = shown.center AND kept.image_version = shown.image_version;
