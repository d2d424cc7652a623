 LEFT JOIN (SELECT patient, center, "time", event FROM patients) AS outcomes USING (patient, center)
