"""Features of one center as a DataFrame, with the outcome of each patient. `python examples/features_as_frame.py CENTER`."""

import sys

import penumbra
from penumbra.survival import concordance_index

center = sys.argv[1]
frame = penumbra.read("radiomics", roi="gtv", center=center, columns="original_shape_*", outcome=True)
print(f"{center}: {len(frame)} patients, {frame['event'].sum()} died, {frame.shape[1] - 5} features of shape")
for feature in ("original_shape_MeshVolume", "original_shape_Sphericity"):
    print(f"{feature}: median {frame[feature].median():.4g}, C {concordance_index(frame['event'], frame['time'], frame[feature]):.3f}")
