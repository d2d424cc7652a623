-- A patient whom the center no longer sends. Back in the relations as soon as a newer clinical record of the same center is there.
CREATE TABLE lake.departures (patient VARCHAR, center VARCHAR, found VARCHAR, "at" TIMESTAMP, commit_id BIGINT);

-- The definition that the last populate (radiomics) or train (deep) worked with: what the relations without _all show.
CREATE TABLE lake.current_versions (kind VARCHAR, version VARCHAR, commit_id BIGINT);

-- A row of nobody and of nothing: a scan of a table without a file costs the engine 20 ms in every question, and these two are in nearly all.
INSERT INTO lake.departures (commit_id) VALUES (0);
INSERT INTO lake.current_versions (commit_id) VALUES (0);

-- Which pseudonym key this store's patients are named by: an HMAC of a constant, or none. Never the key.
CREATE TABLE lake.pseudonym_keys (scope VARCHAR, fingerprint VARCHAR, "at" TIMESTAMP, commit_id BIGINT);
