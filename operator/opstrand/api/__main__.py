"""`python -m opstrand.api`: the API in a cluster."""

import sys

from opstrand.api.server import main

if __name__ == "__main__":
    sys.exit(main())
