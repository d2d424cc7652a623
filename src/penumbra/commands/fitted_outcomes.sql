-- Outcome of every training patient of every registered version, as of the commit that the version names.
SELECT used.model, used.version, told."time", told.event
FROM model_uses AS used
JOIN model_versions AS registered ON registered.model = used.model AND registered.version = used.version
JOIN stored.patients AS told ON told.patient = used.patient AND told.center = used.center AND told.commit_id <= registered.store_commit
WHERE used.split = 'train'
QUALIFY row_number() OVER (PARTITION BY used.model, used.version, used.patient ORDER BY told.commit_id DESC) = 1
