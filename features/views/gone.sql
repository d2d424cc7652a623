-- Patients whom their center no longer sends, unless it sent a record again since.
CREATE VIEW stored.gone AS
WITH departed AS (SELECT patient, center, max(commit_id) AS commit_id FROM stored.departures WHERE commit_id > 0 GROUP BY ALL)
SELECT departed.*
FROM departed
WHERE NOT EXISTS (
    FROM stored.patients AS again
    WHERE again.patient = departed.patient AND again.center = departed.center AND again.commit_id > departed.commit_id);
