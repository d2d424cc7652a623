-- A name belongs to one center at a time.
SELECT centers, count(*) AS patients
FROM (SELECT count(DISTINCT center) AS centers FROM stored.patients ANTI JOIN stored.gone USING (patient, center) GROUP BY patient)
WHERE centers > 1 GROUP BY ALL ORDER BY centers
