CREATE VIEW center_declarations AS
SELECT center, treatment, intent, imaging, commit_id
FROM stored.center_declarations
QUALIFY row_number() OVER (PARTITION BY center ORDER BY commit_id DESC) = 1;
COMMENT ON VIEW center_declarations IS 'what a center says of the patients that it sends, in the file center.yaml of its folder';
COMMENT ON COLUMN center_declarations.center IS 'name of the center';
COMMENT ON COLUMN center_declarations.treatment IS 'primary treatment: radiotherapy, surgery or systemic; NULL: not known';
COMMENT ON COLUMN center_declarations.intent IS 'curative or palliative; NULL: not known';
COMMENT ON COLUMN center_declarations.imaging IS 'planning or diagnostic CT; NULL: not known';
COMMENT ON COLUMN center_declarations.commit_id IS 'commit that wrote the row; see commits';
