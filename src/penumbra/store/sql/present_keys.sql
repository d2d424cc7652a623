SELECT patient, roi, image_version FROM stored.$relation WHERE version = ?
