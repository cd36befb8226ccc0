"""Sizes of output partitions, and what a task holds of one."""

MIB = 2**20

MIN_PARTITION_NBYTES = 1 * MIB
"""Smaller output partitions cost more in scheduling than they save in memory."""

MAX_PARTITION_NBYTES = 128 * MIB
"""Larger output partitions are what dask's own guidance advises against."""

PARTITION_WIDENING = 3.0
"""How many times wider a step of the user's may make the rows of a default partition, which any recipe then still
takes as input on the same workers: a few columns of features on a narrow table are as much."""

KEPT_PARTITION_NBYTES = 4 * MIB
"""Mean size from which on no recipe gives fewer partitions than its input had: smaller ones are worth
joining, larger ones are what the user chose, and steps that follow reckon with them."""

PANDAS_PARTITION_NBYTES = 16 * MIB
"""Bytes of a partition that a pandas frame is cut into, where it is a side of a merge: small compared with a worker of
1 GiB, and large compared with what a task costs."""

STAYING_WIDENING = 2.0
"""How many times larger a merge may make a partition that stays where it is, by default, than it came: a few
columns from the side that is held whole, and not a multiple of its rows."""

MAX_OUTPUT_PARTITIONS = 100_000
"""More tasks than that and the scheduler, not the data, is the bound."""

MAX_GRAPH_PARTITIONS = 1_000_000
"""Output partitions of a plan that runs: a task takes some 2 KB of the client and of the scheduler each, and the
scheduler places a few thousand of them a second."""

MAX_COLLECTION_PARTITIONS = 10_000_000
"""Output partitions of a merge that need not be made, since it can be written or added up without its rows: each
expression made of it has a tuple of 8 B for each."""

OUTPUT_COPIES = 3.0
"""Copies of an output partition that exist at once in a cell and what consumes it: the frame,
its Arrow or row-group form, and encoded pages (measured: docs/decisions)."""

TEXT_COPIES = 2.0
"""Copies of the strings of an output partition while it is made, and while it is written."""

BROADCAST_FRACTION = 0.125
"""Share of a task's budget that the broadcast side may fill, since every thread holds it
and its index while it works."""

COLLECT_COPIES = 3.0
"""Copies of the broadcast side at once where it is collected: its partitions, joined into one, and as it is sent."""

EXPLOSION_FACTOR = 10.0
"""Result rows per row of the larger side from which a join warns."""

EXPLOSION_ROWS = 10_000_000
"""A join of fewer result rows never warns: it is small whatever its factor."""

NOTED_PARTITION_NBYTES = 2**16
"""Smaller output partitions are not held against their sample: a few rows are often longer than the average."""

TABLE_FRACTION = 0.9
"""Share of a worker's memory that a plan with a table may fill: more than others may, as a task that is done
gives the table's pages back at once, and a worker that pauses for them goes on."""

RANGE_MOST_GROWTH = 2.0
"""How many times more partitions than bytes ask for are tried, to get below a size."""

RANGE_GROWTH = 1.04
"""Factor on the number of partitions from one try to the next: 18 tries up to twice as many."""
