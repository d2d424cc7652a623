-- The rows of the patients that arrive, for comparison with what they bring.
SELECT * FROM lake.$relation WHERE patient IN (SELECT patient FROM incoming_$relation)
