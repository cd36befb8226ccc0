"""What the steps of a plan take: bytes of memory that one thread handles in a second.

Measured by ``python -m benchmarks.weights`` (docs/decisions/0031): between the figure of narrow numbers
and that of strings. Ratios between them decide; another machine is faster or slower with all of them.
"""

MIB = 2**20

READ_NBYTES_PER_SECOND = 900 * MIB
"""Reading parquet into pandas."""

STAGE_NBYTES_PER_SECOND = 400 * MIB
"""Finding each row's shard, ordering by it, and writing."""

FETCH_NBYTES_PER_SECOND = 1000 * MIB
"""Reading staged rows back."""

JOIN_NBYTES_PER_SECOND = 100 * MIB
"""Numbering keys, and finding the rows that meet; in bytes of keys."""

SEND_NBYTES_PER_SECOND = 400 * MIB
"""Sending rows of a partition from one worker to another one on the same host."""

P2P_NBYTES_PER_SECOND = 50 * MIB
"""Cutting, sending, writing and reading rows in dask's P2P."""

TASK_SECONDS = 0.015
"""What a task takes besides its work: on its worker, and for its part of the output's file."""

COST_TIE_FRACTION = 0.1
"""Share by which the cost of two strategies may differ that are taken for equally cheap."""

COST_TIE_SECONDS = 0.02
"""The same in seconds: a few tasks."""
