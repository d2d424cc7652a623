-- The definition of each kind that is current, in one row; see current_versions.
CREATE VIEW stored.shown_versions AS
WITH chosen AS (SELECT kind, arg_max(version, commit_id) AS version FROM stored.current_versions GROUP BY kind)
SELECT coalesce(
           (SELECT version FROM chosen WHERE kind = 'radiomics'),
           (SELECT arg_max(version, commit_id) FROM stored.radiomics WHERE NOT EXISTS (FROM chosen WHERE kind = 'radiomics'))) AS radiomics_version,
       coalesce(
           (SELECT version FROM chosen WHERE kind = 'deep'),
           (SELECT arg_max(version, commit_id) FROM stored.deep WHERE NOT EXISTS (FROM chosen WHERE kind = 'deep'))) AS deep_version;
