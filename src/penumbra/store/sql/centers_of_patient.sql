SELECT DISTINCT center FROM stored.$relation WHERE patient = ? AND center IS NOT NULL
