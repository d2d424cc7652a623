INSERT INTO lake.$relation BY NAME SELECT *, CAST(? AS BIGINT) AS commit_id FROM incoming_$relation
