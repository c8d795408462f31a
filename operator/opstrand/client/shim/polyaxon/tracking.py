"""`from polyaxon import tracking`: the module of the client itself, so that `TRACKING_RUN` is
always the current one.
"""

import sys

from polyaxon._opstrand import tracking

sys.modules[__name__] = tracking
