DELETE FROM lake.$relation WHERE patient = ?
