-- The newest accepted scan of every patient at every center.
CREATE VIEW stored.scans AS
FROM stored.images QUALIFY row_number() OVER (PARTITION BY patient, center ORDER BY commit_id DESC) = 1;
