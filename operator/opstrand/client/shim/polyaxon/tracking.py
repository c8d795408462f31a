"""`from polyaxon import tracking`: an alias of the client's module, so that `TRACKING_RUN` is
always current.
"""

import sys

from polyaxon._opstrand import tracking

sys.modules[__name__] = tracking
