"""No test writes to the database or the object storage of the person who runs it."""

import os

for name in ("PENUMBRA_CATALOG", "PENUMBRA_FILES"):
    os.environ.pop(name, None)
