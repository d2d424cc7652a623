CREATE VIEW departures AS
SELECT left_.patient, left_.center, left_.found, left_."at", gone.patient IS NULL AS returned, left_.commit_id
FROM stored.departures AS left_ LEFT JOIN stored.gone AS gone
  ON gone.patient = left_.patient AND gone.center = left_.center AND gone.commit_id = left_.commit_id
WHERE left_.commit_id > 0;
COMMENT ON VIEW departures IS 'a patient whom the center no longer sends; absent from patients, images, rois and features since, unless returned';
COMMENT ON COLUMN departures.patient IS 'pseudonym';
COMMENT ON COLUMN departures.center IS 'center that had sent the patient';
COMMENT ON COLUMN departures.found IS 'what was missing of the patient';
COMMENT ON COLUMN departures."at" IS 'when it was noticed, UTC';
COMMENT ON COLUMN departures.returned IS 'true: the center has sent the patient again';
COMMENT ON COLUMN departures.commit_id IS 'commit that wrote the row; see commits';
