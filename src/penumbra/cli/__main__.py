"""`python -m penumbra.cli`."""

import os

from penumbra.cli import main

if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main()
