"""`python -m opstrand.handlers`: the operator."""

from opstrand.handlers.startup import main

raise SystemExit(main())
