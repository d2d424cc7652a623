-- Tables behind the relations. Rows are only ever added; commit_id says by which commit.
-- DuckLake knows no keys: penumbra.store.relations declares them, the writer keeps them.
CREATE TABLE lake.commits (id BIGINT, "at" TIMESTAMP, run VARCHAR, what VARCHAR, "rows" BIGINT, relations VARCHAR);

CREATE TABLE lake.centers (center VARCHAR, arrived_at TIMESTAMP, commit_id BIGINT);

CREATE TABLE lake.patients (
    patient VARCHAR, center VARCHAR, clinical_version VARCHAR, age DOUBLE, sex VARCHAR, histology VARCHAR, t_stage VARCHAR, n_stage VARCHAR,
    m_stage VARCHAR, overall_stage VARCHAR, "time" DOUBLE, event BOOLEAN, details VARCHAR, commit_id BIGINT);

CREATE TABLE lake.images (
    patient VARCHAR, center VARCHAR, image_version VARCHAR, source VARCHAR, sha256 VARCHAR, spacing DOUBLE[], size BIGINT[], status VARCHAR,
    certificate VARCHAR, commit_id BIGINT);

CREATE TABLE lake.rois (
    patient VARCHAR, center VARCHAR, roi VARCHAR, image_version VARCHAR, volume_mm3 DOUBLE, voxels BIGINT, lost_mm3 DOUBLE, hu_min DOUBLE,
    hu_median DOUBLE, hu_max DOUBLE, status VARCHAR, reason VARCHAR, certificate VARCHAR, commit_id BIGINT);

CREATE TABLE lake.rejections (
    patient VARCHAR, center VARCHAR, stage VARCHAR, rule VARCHAR, found VARCHAR, advice VARCHAR, "at" TIMESTAMP, commit_id BIGINT);

CREATE TABLE lake.feature_versions (
    version VARCHAR, kind VARCHAR, label VARCHAR, params VARCHAR, engine VARCHAR, features VARCHAR[], created_at TIMESTAMP, commit_id BIGINT);

-- A feature keeps its slot for ever: slot s lies in column v<s // 64> at position s % 64 + 1 of the list. New features take new slots.
CREATE TABLE lake.feature_slots (kind VARCHAR, feature VARCHAR, slot BIGINT, commit_id BIGINT);

CREATE TABLE lake.radiomics (
    patient VARCHAR, center VARCHAR, roi VARCHAR, version VARCHAR, image_version VARCHAR,
    v00 DOUBLE[], v01 DOUBLE[], v02 DOUBLE[], v03 DOUBLE[], v04 DOUBLE[], v05 DOUBLE[], v06 DOUBLE[], v07 DOUBLE[], v08 DOUBLE[], v09 DOUBLE[],
    v10 DOUBLE[], v11 DOUBLE[], v12 DOUBLE[], v13 DOUBLE[], v14 DOUBLE[], v15 DOUBLE[], v16 DOUBLE[], v17 DOUBLE[], v18 DOUBLE[], v19 DOUBLE[],
    v20 DOUBLE[], commit_id BIGINT);

CREATE TABLE lake.deep (
    patient VARCHAR, center VARCHAR, roi VARCHAR, version VARCHAR, image_version VARCHAR, log_risk DOUBLE,
    v00 DOUBLE[], v01 DOUBLE[], v02 DOUBLE[], v03 DOUBLE[], v04 DOUBLE[], v05 DOUBLE[], v06 DOUBLE[], v07 DOUBLE[], commit_id BIGINT);

-- 512 embedding features exist from the start; a smaller network leaves the rest NULL.
INSERT INTO lake.feature_slots SELECT 'deep', 'deep_' || lpad(slot::VARCHAR, 3, '0'), slot, 0 FROM range(512) AS embedding (slot);

CREATE TABLE lake.signatures (
    patient VARCHAR, center VARCHAR, signature VARCHAR, model_version VARCHAR, score DOUBLE, image_version VARCHAR, commit_id BIGINT);

CREATE TABLE lake.model_versions (
    model VARCHAR, version VARCHAR, alias VARCHAR, run_id VARCHAR, store_commit BIGINT, train_centers VARCHAR[], digest VARCHAR, params VARCHAR,
    created_at TIMESTAMP, commit_id BIGINT);

CREATE TABLE lake.model_patients (
    model VARCHAR, version VARCHAR, patient VARCHAR, center VARCHAR, split VARCHAR, image_version VARCHAR, commit_id BIGINT);

CREATE TABLE lake.model_metrics (
    model VARCHAR, version VARCHAR, center VARCHAR, split VARCHAR, metric VARCHAR, "value" DOUBLE, "lower" DOUBLE, "upper" DOUBLE, n BIGINT,
    events BIGINT, commit_id BIGINT);

CREATE TABLE lake.predictions (
    patient VARCHAR, center VARCHAR, model VARCHAR, version VARCHAR, image_version VARCHAR, log_risk DOUBLE, risk_group VARCHAR, survival_1y DOUBLE,
    survival_2y DOUBLE, survival_3y DOUBLE, "at" TIMESTAMP, commit_id BIGINT);
