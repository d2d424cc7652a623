SELECT version FROM stored.$relation WHERE roi = ? GROUP BY version ORDER BY max(commit_id) DESC, version LIMIT 1
