SELECT center, patients, events, arrived_at FROM centers ORDER BY center
