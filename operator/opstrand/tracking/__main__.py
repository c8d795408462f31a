"""`python -m opstrand.tracking`: the API in a cluster."""

import sys

from opstrand.tracking.server import main

if __name__ == "__main__":
    sys.exit(main())
