"""Tasks that bring rows to where they belong."""

MIB = 2**20

STAGE_COPIES = 3.0
"""Copies of an input partition at once in a stage task: as read, as pandas, in shard order."""

WHOLE_COPIES = 2.0
"""Copies of a partition that has to be made whole, while it is made: as read or computed, and as pandas."""

SLICE_FRACTION = 1 / 16
"""Share of a task's budget that a slice of a partition may have: a slice is there some three times, and what waits to
be written is to be several slices."""

LEAST_SLICE_NBYTES = MIB
"""A smaller slice costs more in calls than it saves in memory."""

FETCH_COPIES = 2.0
"""Copies of a shard at once in a cell: as read from staging, and joined into one piece."""

ROW_INDEX_NBYTES = 40
"""Bytes of row numbers, order and codes that a kernel keeps per row."""

POSITION_NBYTES = 24
"""Bytes of positions per result row while a cell is made: one array, its making and one take."""

ORDERED_WAITING = 3.0
"""Partitions in key order that a worker holds, by those that one of its cells touches: others wait
for their neighbours, or are copies for, and of, another worker's cells (measured: docs/decisions/0015)."""

SHARD_REREAD_FRACTION = 1 / 16
"""Input bytes per target partition up to which a shard may have several cells: each of them
reads the shard again, so that reading stays small compared with writing."""

GROUP_NBYTES = 192 * MIB
"""Input of one stage task that joins several partitions: each file costs every shard one read."""

GROUP_COPIES = 3.0
"""Copies of a group's rows at once in a stage task: in Arrow, in shard order, and the gaps that joined columns leave."""

WAITING_COLUMN_COPIES = 1.25
"""Copies of rows in columns while they wait to be written: as they are written, and which of them are missing. (12 slices of
17 MiB of strings took 277 MiB where this projects 408, and 3 copies 774.)"""

WAITING_NBYTES = 96 * MIB
"""Rows of a stage task that wait to be written, at most, unless there are many shards. On two workers of two threads a left
merge of TPC-H's lines that took all the room had 815 MiB projected and 373 measured; with this, sorts and an outer merge of
them have 595 projected and 379 to 401 measured. What it costs in time was not measured pairwise: seconds of processors on
four workers were 0.95 to 1.4 times those before, on a machine with other work."""

WAITING_SHARD_NBYTES = 512 * 1024
"""Bytes of them for each shard, at most: pieces are then twice ``LEAST_PIECE_NBYTES``, and go to their shards at once."""

WAITING_ROW_COPIES = 1.0
"""The same where rows lie side by side: in one block, which is written in order a few MiB at a time."""

GROUP_ROUNDS = 8
"""Stage tasks of each thread, at the least, before partitions are joined in one: the last ones end together."""

STAGED_ROW_NBYTES = 24
"""Bytes per row that waits to be staged, for its shard and its place in the order."""

REBALANCE_PLACES = 256
"""Places in a partition at which it may be cut, at least, where rows differ in size."""

REBALANCE_FINENESS = 64
"""Places for each output partition: with cuts at the nearest of them, partitions are even to some 2 %."""

REBALANCE_MAX_PLACES = 2**15
"""Places in one partition at most: 512 KiB of row numbers and bytes, sent to the client."""

REBALANCE_EVEN_FACTOR = 1.1
"""The largest partition by the mean, up to which partitions count as even."""

REBALANCE_FEW_FACTOR = 0.75
"""Partitions after joining neighbours by partitions before, above which joining is not worth it."""

REBALANCE_REREADS = 2.0
"""Times an input partition is computed again, on average, up to which that beats staging it: staging
writes and reads each row once."""

REBALANCE_ROW_NBYTES = 16
"""Bytes of shard numbers that a stage task keeps per row whose order stays."""

LAG_TASK_FRACTION = 0.9
"""Share of a task's budget that making an output partition with its shifted columns may take."""

REBALANCE_LEAST_FRACTION = 0.9
"""Share of the bytes counted of a rebalanced frame that it has at least: a row's null bits count as bytes, up to one of nine."""

STAGE_WRITE_NBYTES = 4 * 2**20
"""Rows side by side that are sorted and written at once: large compared with a request, small compared with a block."""

PIECE_NBYTES = 2**20
"""A piece of a staged file at most: what is read, and its checksum compared, for one row of it."""

INDEX_CACHE_NBYTES = 16 * MIB
"""Indexes of staged files that a process keeps: those of 400,000 pieces."""

NUMBERED_VALUES = 2**12
"""Distinct strings of a column, at most, that are staged as numbers."""

NUMBERED_NBYTES = 64 * 1024
"""Bytes of them, at most: they go along with the index of each file."""

NUMBERED_REPEATS = 4
"""Times each string of a sample is there from which on numbers of strings are staged instead."""

NUMBERED_LEAST_NBYTES = 2
"""Bytes of a string, on average, up to which its number takes no less."""

ONE_LENGTH_NBYTES = 128
"""Strings up to so many bytes are gathered like numbers where all are of one length."""

INDEX_ENTRY_NBYTES = 40
"""Bytes that a process keeps of a piece: its entry, and where it begins (``engine.exchange.index``)."""

MANIFEST_FILE_NBYTES = 640
"""Bytes of a file in a manifest: 110 as it is sent, and the rest as Python's objects."""

MANIFEST_SHARD_NBYTES = 16
"""Bytes of a shard in a manifest: its rows and bytes."""

ONE_LEVEL_PIECES = 2**18
"""Pieces up to which rows go to their shards at once, however small pieces are: reading them takes seconds."""

LEAST_PIECE_NBYTES = 256 * 1024
"""Mean bytes of a piece from which on rows go to their shards at once, however many pieces there are."""

INDEX_FRACTION = 1 / 32
"""Share of a task's budget that the indexes of one level may take."""

LEAST_COARSE_SHARDS = 4
"""Shards from which on there may be coarse ones."""
