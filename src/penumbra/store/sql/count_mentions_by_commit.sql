SELECT commit_id, count(*) FROM lake.rejections WHERE ends_with(found, ?) GROUP BY commit_id
