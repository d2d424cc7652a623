SELECT $columns FROM $relation$outcomes$conditions$sorting
