SELECT $columns FROM lake.$relation ORDER BY $order
