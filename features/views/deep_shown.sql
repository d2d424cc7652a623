-- The image of each patient whose deep features are shown: the one in images, or where the scan itself was never stored the newest that has features.
CREATE VIEW stored.deep_shown AS
WITH unscanned AS (
    SELECT patient, center, max({'commit_id': commit_id, 'image_version': image_version}).image_version AS image_version
    FROM stored.deep ANTI JOIN stored.scans USING (patient, center) GROUP BY ALL),
newest AS (SELECT patient, center, image_version FROM stored.scans UNION ALL FROM unscanned)
FROM newest ANTI JOIN stored.gone USING (patient, center);
