SELECT commit_id, count(*) FROM lake.$relation WHERE patient = ? AND (center = ? OR center IS NULL) GROUP BY commit_id
