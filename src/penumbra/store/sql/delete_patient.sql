DELETE FROM lake.$relation WHERE patient = ? AND (center = ? OR center IS NULL)
