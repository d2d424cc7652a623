-- The recalibration behind the probabilities of a prediction, as JSON; NULL where they are the version's own.
ALTER TABLE lake.predictions ADD COLUMN recalibrated VARCHAR;
