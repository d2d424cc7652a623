SELECT commit_id, count(*) FROM lake.$relation WHERE patient = ? GROUP BY commit_id
