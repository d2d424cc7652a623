-- Which of the keys that arrive are stored already.
SELECT DISTINCT $key FROM lake.$relation SEMI JOIN incoming_$relation USING ($key)
