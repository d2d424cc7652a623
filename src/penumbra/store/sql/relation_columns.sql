SELECT column_name FROM (DESCRIBE $relation)
