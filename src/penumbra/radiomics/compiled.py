"""How the kernels of this package are compiled: as those of penumbra.survival. What divides by zero is refused by `extract` by its name."""

from penumbra.survival.compiled import kernel as kernel
