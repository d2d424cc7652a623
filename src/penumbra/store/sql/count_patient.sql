SELECT count(*) AS n FROM stored.$relation WHERE patient = ? AND (center = ? OR center IS NULL)
