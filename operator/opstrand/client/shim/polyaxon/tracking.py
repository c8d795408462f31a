"""`from polyaxon import tracking`: the client's own module, so that `TRACKING_RUN` is current."""

import sys

from polyaxon._opstrand import tracking

sys.modules[__name__] = tracking
