-- The newest stored row of every key that arrives.
SELECT kept.*
FROM lake.$relation AS kept SEMI JOIN incoming_$relation USING ($key)
QUALIFY row_number() OVER (PARTITION BY $key ORDER BY commit_id DESC) = 1
