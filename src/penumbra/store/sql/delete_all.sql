DELETE FROM lake.$relation
