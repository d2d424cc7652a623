DELETE FROM lake.rejections WHERE ends_with(found, ?)
