CREATE VIEW centers AS
WITH records AS (SELECT center, count(*) AS patients, count(*) FILTER (event) AS events FROM patients GROUP BY center),
arrivals AS (SELECT center, min(arrived_at) AS arrived_at, min(commit_id) AS commit_id FROM stored.centers GROUP BY center),
firsts AS (SELECT center, min(commit_id) AS commit_id FROM stored.patients GROUP BY center)
SELECT center, coalesce(arrivals.arrived_at, commits."at") AS arrived_at, coalesce(records.patients, 0) AS patients,
       coalesce(records.events, 0) AS events, coalesce(arrivals.commit_id, firsts.commit_id) AS commit_id
FROM arrivals FULL JOIN firsts USING (center) LEFT JOIN records USING (center)
     LEFT JOIN commits ON commits.id = firsts.commit_id;
COMMENT ON VIEW centers IS 'a center that has sent patients';
COMMENT ON COLUMN centers.center IS 'name of the center';
COMMENT ON COLUMN centers.arrived_at IS 'when its first data were read, UTC';
COMMENT ON COLUMN centers.patients IS 'patients with a clinical record';
COMMENT ON COLUMN centers.events IS 'of these, died';
COMMENT ON COLUMN centers.commit_id IS 'commit that wrote the row; see commits';
