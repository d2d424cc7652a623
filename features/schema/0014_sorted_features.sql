-- Rows of the features lie sorted in every file that is written from now on, by compaction too, and in groups so small that those of another definition, ROI
-- or center are passed over unread. 2048 is the smallest that the engine writes.
ALTER TABLE lake.radiomics SET SORTED BY (version, roi, center, patient, image_version);
ALTER TABLE lake.deep SET SORTED BY (version, roi, center, patient, image_version);
CALL lake.set_option('parquet_row_group_size', 2048, table_name => 'radiomics');
CALL lake.set_option('parquet_row_group_size', 2048, table_name => 'deep');
