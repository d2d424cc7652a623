"""Every metric of every model: for training, for each center, and for all external centers pooled (PROTOCOL 6); and what refitting shows about the model."""

from penumbra.evaluate.contrasts import ALL as ALL
from penumbra.evaluate.contrasts import contrasts as contrasts
from penumbra.evaluate.metrics import evaluate as evaluate
from penumbra.evaluate.refits import Refits as Refits
from penumbra.evaluate.refits import internal_external as internal_external
from penumbra.evaluate.refits import resampled_fits as resampled_fits
from penumbra.evaluate.sets import EXTERNAL as EXTERNAL
from penumbra.evaluate.sets import LEFT_OUT as LEFT_OUT
from penumbra.evaluate.sets import TRAINING as TRAINING
from penumbra.evaluate.sets import ModelRisk as ModelRisk
from penumbra.evaluate.sets import clipped as clipped
