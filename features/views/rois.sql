CREATE VIEW rois AS
WITH newest AS (SELECT * FROM stored.rois ANTI JOIN stored.gone USING (patient, center)
                QUALIFY row_number() OVER (PARTITION BY patient, roi ORDER BY commit_id DESC) = 1)
SELECT newest.patient, newest.center, roi, newest.image_version, volume_mm3, voxels, lost_mm3, hu_min, hu_median, hu_max, newest.status, reason,
       newest.certificate, newest.commit_id
FROM newest LEFT JOIN images USING (patient, center)
WHERE images.image_version IS NULL OR images.image_version = newest.image_version;
COMMENT ON VIEW rois IS 'a region of interest of a patient''s newest image, with its certificate';
COMMENT ON COLUMN rois.patient IS 'pseudonym';
COMMENT ON COLUMN rois.center IS 'center of the patient';
COMMENT ON COLUMN rois.roi IS 'gtv, or a ring named by its margin, such as ring_3mm';
COMMENT ON COLUMN rois.image_version IS 'the image it was drawn on';
COMMENT ON COLUMN rois.volume_mm3 IS 'voxels times voxel volume on the 1 mm grid';
COMMENT ON COLUMN rois.voxels IS 'voxels on the grid';
COMMENT ON COLUMN rois.lost_mm3 IS 'volume that would be outside the scan';
COMMENT ON COLUMN rois.hu_min IS 'lowest HU inside';
COMMENT ON COLUMN rois.hu_median IS 'median HU inside';
COMMENT ON COLUMN rois.hu_max IS 'highest HU inside';
COMMENT ON COLUMN rois.status IS 'accepted, flagged or refused';
COMMENT ON COLUMN rois.reason IS 'why it is not simply accepted';
COMMENT ON COLUMN rois.certificate IS 'further figures, JSON';
COMMENT ON COLUMN rois.commit_id IS 'commit that wrote the row; see commits';
