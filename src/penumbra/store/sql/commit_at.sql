SELECT max(id) AS id, (SELECT min("at") FROM stored.commits) AS first FROM stored.commits WHERE "at" <= ?
