-- What the catalogue says of each feature.
SELECT feature, concat_ws('; ', meaning, family || ' of the image ' || image, 'unit ' || nullif(unit, '')) FROM catalogue
