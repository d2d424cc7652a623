-- Whether a version has learned from patients like this one, and what a center says of the patients that it sends.
ALTER TABLE lake.predictions ADD COLUMN applicability VARCHAR;
ALTER TABLE lake.predictions ADD COLUMN applicability_share DOUBLE;
ALTER TABLE lake.predictions ADD COLUMN applicability_distance DOUBLE;
ALTER TABLE lake.predictions ADD COLUMN applicability_columns VARCHAR[];
ALTER TABLE lake.predictions ADD COLUMN applicability_reason VARCHAR;
CREATE TABLE lake.center_declarations (center VARCHAR, treatment VARCHAR, intent VARCHAR, imaging VARCHAR, commit_id BIGINT);
