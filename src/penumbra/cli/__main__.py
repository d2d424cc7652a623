"""`python -m penumbra.cli`."""

import sys

from penumbra.cli.start import main

if __name__ == "__main__":
    sys.exit(main())
