-- What each commit wrote here against what it recorded; commit 0 is the schema's own.
WITH held AS (SELECT commit_id, count(*) AS found FROM stored.$relation WHERE commit_id > 0 GROUP BY commit_id),
     told AS (SELECT id AS commit_id, coalesce(CAST(json_extract(relations, '$$.$relation') AS BIGINT), 0) AS said FROM stored.commits)
SELECT commit_id, coalesce(found, 0) AS found, coalesce(said, 0) AS said FROM held FULL JOIN told USING (commit_id)
WHERE coalesce(found, 0) <> coalesce(said, 0) ORDER BY commit_id LIMIT 5
