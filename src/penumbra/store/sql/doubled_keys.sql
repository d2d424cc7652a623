SELECT $key, count(*) AS times FROM stored.$relation GROUP BY $key HAVING count(*) > 1 ORDER BY ALL LIMIT 5
