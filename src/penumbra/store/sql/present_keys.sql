-- Of the center that the patient's scan is from now: another center's rows are another row of the same scan.
SELECT kept.patient, roi, kept.image_version
FROM stored.$relation AS kept LEFT JOIN images USING (patient)
WHERE kept.version = ? AND coalesce(images.center, kept.center) = kept.center
