"""Thresholds of group-bys and what they were measured by."""

from __future__ import annotations

from safeframe.options.files import MIB

GROUP_ROW_NBYTES = 72
"""Bytes for each row that is grouped: its group's number, the table that gives it, one column at a time."""

GROUP_STATE_COPIES = 4.0
"""Copies of partial states at once while they are joined: those that wait, put together, and what is made of them."""

TREE_FAN_IN = 8
"""Partial states that one task joins, at most."""

TREE_NBYTES = 32 * MIB
"""Partial states of all tasks up to which they are joined in a tree, whatever an exchange would move: they are fewer bytes
than a stage task reads."""

STATES_SHRINK = 0.5
"""Bytes of partial states, by those of the rows they are made of, up to which states are staged: making them twice
takes longer than moving what they save beyond that."""

STATE_ROWS_SHRINK = 4
"""Rows of a group in a slice, by those that are kept of it, from which on these are kept of slices: 10 M rows in 100,000 groups,
two values of each, took 1.1 s staged and 1.7 s in a tree of slices that had half as many."""

LEAST_GROUPS_IN_SHARD = 4
"""Groups of a shard, on average, below which there would be shards without any."""

EDGE_NBYTES = 16 * 2**10
"""Bytes of what is known of the groups that a part of ordered rows begins and ends with: three frames of two rows, as
objects of Python's and as they are pickled."""

EDGE_COPIES = 12.0
"""Rows of a part that are in such frames, and in what these are put together to."""

EDGE_ROW_NBYTES = 128
"""Bytes for each of these groups, and each quantile of it: its row numbers, and tables to find them."""
