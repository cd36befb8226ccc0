"""Every threshold of the library, with its reason.

Covers: constants that plans and kernels use; a user changes those that are
also in ``safeframe.yaml`` through :mod:`dask.config`.
Does not cover: reading the configuration (``safeframe.config``).
"""

from safeframe.options.collections import *
from safeframe.options.costs import *
from safeframe.options.exchange import *
from safeframe.options.files import *
from safeframe.options.groupby import *
from safeframe.options.p2p import *
from safeframe.options.partitions import *
from safeframe.options.progress import *
from safeframe.options.statistics import *
from safeframe.options.workers import *
