-- A patient whom the center no longer sends. Back in the relations as soon as a newer clinical record of the same center is there.
CREATE TABLE lake.departures (patient VARCHAR, center VARCHAR, found VARCHAR, "at" TIMESTAMP, commit_id BIGINT);

-- The definition that the last populate (radiomics) or train (deep) worked with: what the relations without _all show.
CREATE TABLE lake.current_versions (kind VARCHAR, version VARCHAR, commit_id BIGINT);

-- Which pseudonym key this store's patients are named by: an HMAC of a constant, or none. Never the key.
CREATE TABLE lake.pseudonym_keys (scope VARCHAR, fingerprint VARCHAR, "at" TIMESTAMP, commit_id BIGINT);
