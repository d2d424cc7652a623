INSERT INTO lake.$relation BY NAME FROM $source
