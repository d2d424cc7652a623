-- Rows of each patient's newest image: the one in images, or where the scan itself was never stored the newest that has features.
CREATE VIEW stored.deep_vectors_all AS
WITH own AS (
    SELECT patient, center, max({'commit_id': commit_id, 'image_version': image_version}).image_version AS image_version FROM stored.deep GROUP BY ALL),
shown AS (
    SELECT own.patient, own.center, coalesce(scans.image_version, own.image_version) AS image_version
    FROM own LEFT JOIN stored.scans USING (patient, center) ANTI JOIN stored.gone USING (patient, center))
SELECT kept.*
FROM stored.deep AS kept JOIN shown ON kept.patient = shown.patient AND kept.center = shown.center AND kept.image_version = shown.image_version;
