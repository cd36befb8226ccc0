"""What processes have in their environment that are forked: importing this sets it, which only the process does that they are forked from.

That process may have started before there is an object store, with the environment that there was.
"""

import os

from tests.faults.machine.stores import ENVIRONMENT

os.environ.update(ENVIRONMENT)
