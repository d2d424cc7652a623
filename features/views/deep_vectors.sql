-- Rows of each patient's newest image: the one in images, or where the scan itself was never stored the newest that has features.
-- Relations are named in full: in this schema, images alone would mean the stored table.
CREATE VIEW stored.deep_vectors AS
WITH own AS (SELECT patient, max({'commit_id': commit_id, 'image_version': image_version}).image_version AS image_version FROM stored.deep GROUP BY patient),
shown AS (SELECT own.patient, coalesce(images.image_version, own.image_version) AS image_version FROM own LEFT JOIN memory.main.images AS images USING (patient))
SELECT kept.* FROM stored.deep AS kept JOIN shown ON kept.patient = shown.patient AND kept.image_version = shown.image_version;
