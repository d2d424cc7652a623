-- Of the patients that arrive: every center that has a row of theirs, with the newest row and the newest departure from there.
WITH written AS (
    SELECT kept.patient, kept.center, max(kept.commit_id) AS commit_id
    FROM lake.$relation AS kept SEMI JOIN incoming_$relation USING (patient) GROUP BY ALL),
departed AS (SELECT patient, center, max(commit_id) AS commit_id FROM lake.departures SEMI JOIN incoming_$relation USING (patient) GROUP BY ALL)
SELECT written.patient, written.center, written.commit_id, coalesce(departed.commit_id, 0)
FROM written LEFT JOIN departed USING (patient, center)
