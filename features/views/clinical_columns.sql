CREATE VIEW clinical_columns AS
SELECT name::VARCHAR AS name, type::VARCHAR AS type, unit::VARCHAR AS unit, lowest::DOUBLE AS lowest, highest::DOUBLE AS highest,
       levels::VARCHAR AS levels, known::VARCHAR AS known, for_models::BOOLEAN AS for_models, meaning::VARCHAR AS meaning
FROM (VALUES %declared_rows%) AS declared (name, type, unit, lowest, highest, levels, known, for_models, meaning)
WHERE name IS NOT NULL;
COMMENT ON VIEW clinical_columns IS 'the columns that features/clinical.yaml declares, as it is now';
COMMENT ON COLUMN clinical_columns.name IS 'name of the column in clinical';
COMMENT ON COLUMN clinical_columns.type IS 'number, integer, boolean, category or ordinal';
COMMENT ON COLUMN clinical_columns.unit IS 'unit of a number';
COMMENT ON COLUMN clinical_columns.lowest IS 'lowest possible number';
COMMENT ON COLUMN clinical_columns.highest IS 'highest possible number';
COMMENT ON COLUMN clinical_columns.levels IS 'possible levels; the first of a category is the reference';
COMMENT ON COLUMN clinical_columns.known IS 'planning, treatment, follow_up, or days from the planning CT';
COMMENT ON COLUMN clinical_columns.for_models IS 'whether it is known at the planning CT, so that a model may use it';
COMMENT ON COLUMN clinical_columns.meaning IS 'what it means';
