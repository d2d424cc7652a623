-- Clinical values of the columns that features/clinical.yaml declares, one row per patient and column: number, or the level as text; both NULL: not known.
CREATE TABLE lake.clinical_long (patient VARCHAR, center VARCHAR, name VARCHAR, number DOUBLE, level VARCHAR, commit_id BIGINT);
