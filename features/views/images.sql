CREATE VIEW images AS
SELECT patient, center, image_version, source, sha256, spacing, size, status, certificate, commit_id
FROM stored.images ANTI JOIN stored.gone USING (patient, center)
QUALIFY row_number() OVER (PARTITION BY patient ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW images IS 'an accepted scan, the newest of each patient';
COMMENT ON COLUMN images.patient IS 'pseudonym';
COMMENT ON COLUMN images.center IS 'center that sent it';
COMMENT ON COLUMN images.image_version IS 'key of image and mask on the grid; a corrected scan has another one';
COMMENT ON COLUMN images.source IS 'folder it was read from, relative to its center';
COMMENT ON COLUMN images.sha256 IS 'digest of what was read';
COMMENT ON COLUMN images.spacing IS 'mm between voxels as sent, z y x';
COMMENT ON COLUMN images.size IS 'voxels as sent, z y x';
COMMENT ON COLUMN images.status IS 'accepted, or flagged: used, but worth a look';
COMMENT ON COLUMN images.certificate IS 'measurements that certify the mask, JSON';
COMMENT ON COLUMN images.commit_id IS 'commit that wrote the row; see commits';
