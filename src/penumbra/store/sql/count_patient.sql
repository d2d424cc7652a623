SELECT count(*) AS n FROM stored.$relation WHERE patient = ?
