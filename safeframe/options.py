"""Every threshold of the library, with its reason.

Covers: constants that plans and kernels use; a user changes those that are
also in ``safeframe.yaml`` through :mod:`dask.config`.
Does not cover: reading the configuration (``safeframe.config``).
"""

from __future__ import annotations

MIB = 2**20

HEADROOM_FRACTION = 0.8
"""Share of a worker's limit that plans fill: dask pauses a worker at 0.8 of it, and a
worker whose allocator keeps its pages can stay above that line for ever."""

RESERVED_GROWTH_NBYTES = 80 * MIB
"""What a worker's resident memory grows by, beyond its idle size, without holding data:
libraries loaded with the first task, thread stacks, pages that the allocators keep."""

KEY_CAPACITY = 2**20
"""Distinct keys that key statistics count exactly: 16 MiB a summary, so that a task that
joins four of them stays far below the smallest worker."""

HEAVY_KEYS = 2**12
"""Heaviest keys that are always counted exactly."""

HEAVY_CANDIDATES = 2**14
"""Keys that a summary keeps as candidates for the heaviest, while the keys are only sampled:
more than are wanted, since a key that is heavy in all may be middling in one partition."""

NAMED_HEAVY_KEYS = 256
"""Heaviest keys of a partition whose values are kept, where a code is a hash: enough that
those which are heaviest in all are nearly always among them."""

NAMED_SAMPLE_KEYS = 2**10
"""Keys of the sample whose values are kept, where a code is a hash: quantiles to about 3 %."""

KEY_TASK_PARTITIONS = 8
"""Input partitions that one task counts the keys of, one after the other, at most."""

KEY_MIN_TASKS = 32
"""Tasks below which partitions are not grouped: work for the threads of a few machines."""

KEY_COMBINE = 4
"""Summaries that one task joins: 64 MiB of them at most, with the default capacity."""

JOIN_SIZE_SIGMAS = 4.0
"""Standard deviations on either side of a sampled join size: one interval in some ten
thousand misses."""

MIN_PARTITION_NBYTES = 1 * MIB
"""Smaller output partitions cost more in scheduling than they save in memory."""

MAX_PARTITION_NBYTES = 128 * MIB
"""Larger output partitions are what dask's own guidance advises against."""

MAX_OUTPUT_PARTITIONS = 100_000
"""More tasks than that and the scheduler, not the data, is the bound."""

OUTPUT_COPIES = 3.0
"""Copies of an output partition that exist at once in a cell and what consumes it: the frame,
its Arrow or row-group form, and encoded pages (measured: docs/decisions)."""

STAGE_COPIES = 3.0
"""Copies of an input partition at once in a stage task: as read, as pandas, in shard order."""

FETCH_COPIES = 2.0
"""Copies of a shard at once in a cell: as read from staging, and joined into one piece."""

ROW_INDEX_NBYTES = 40
"""Bytes of row numbers, order and codes that a kernel keeps per row."""

BROADCAST_FRACTION = 0.125
"""Share of a task's budget that the broadcast side may fill, since every thread holds it
and its index while it works."""

EXPLOSION_FACTOR = 10.0
"""Result rows per row of the larger side from which a join warns."""

EXPLOSION_ROWS = 10_000_000
"""A join of fewer result rows never warns: it is small whatever its factor."""

POSITION_NBYTES = 24
"""Bytes of positions per result row while a cell is made: one array, its making and one take."""

SHARD_REREAD_FRACTION = 1 / 16
"""Input bytes per target partition up to which a shard may have several cells: each of them
reads the shard anew, so that reading stays small beside writing."""

SAMPLE_MARGIN = 1.5
"""Factor on sizes that come from a sample of the keys, when they bound something."""

WIDTH_MARGIN = 1.25
"""Factor on bytes per row that come from a sample of rows (strings), when they bound something."""

RESERVED_DEFAULT_NBYTES = 192 * MIB
"""A worker's memory before any data, where it cannot be asked (an asynchronous client)."""
