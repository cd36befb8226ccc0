"""Every threshold of the library, with its reason.

Covers: constants that plans and kernels use; a user changes those that are
also in ``safeframe.yaml`` through :mod:`dask.config`.
Does not cover: reading the configuration (``safeframe.config``).
"""

from __future__ import annotations

MIB = 2**20

HEADROOM_FRACTION = 0.8
"""Share of a worker's limit that plans fill: dask pauses a worker at 0.8 of it, which kept pages may make last."""

RESERVED_GROWTH_NBYTES = 80 * MIB
"""What a worker's resident memory grows by, beyond its idle size, without holding data:
libraries loaded with the first task, thread stacks, pages that the allocators keep."""

KEY_CAPACITY = 2**20
"""Distinct keys that key statistics count exactly: 16 MiB a summary, so that a task that
joins four of them stays far below the smallest worker."""

HEAVY_KEYS = 2**12
"""Heaviest keys that are always counted exactly."""

NEGLIGIBLE_KEY_SHARE = 5e-4
"""Share of a join's larger side up to which no key's result rows are worth a pass of their own: a
worker's part of a frame is hundreds of times as much."""

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

PARTITION_WIDENING = 3.0
"""How many times wider a step of the user's may make the rows of a default partition, which any recipe then still
takes as input on the same workers: a few columns of features on a narrow table are as much."""

KEPT_PARTITION_NBYTES = 4 * MIB
"""Mean size from which on no recipe gives fewer partitions than its input had: smaller ones are worth
joining, larger ones are what the user chose, and steps that follow reckon with them."""

PANDAS_PARTITION_NBYTES = 16 * MIB
"""Bytes of a partition that a pandas frame is cut into, where it is a side of a merge: small beside a worker of
1 GiB, and large beside what a task costs."""

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

KEY_BOUNDS = 2**12
"""Strings among which others are placed where a merge is to keep their order, besides each partition's
ends: keys between two of them are joined in one go, which 4,096 make small."""

KEY_BOUND_ROWS = 2**7
"""Rows of a partition that such strings are taken from."""

ORDERED_WAITING = 3.0
"""Partitions in key order that a worker holds, by those that one of its cells touches: others wait
for their neighbours, or are copies for, and of, another worker's cells (measured: docs/decisions/0015)."""

SHARD_REREAD_FRACTION = 1 / 16
"""Input bytes per target partition up to which a shard may have several cells: each of them
reads the shard anew, so that reading stays small beside writing."""

SAMPLE_MARGIN = 1.5
"""Factor on sizes that come from a sample of the keys, when they bound something."""

WIDTH_MARGIN = 1.25
"""Factor on bytes per row that come from a sample of rows (strings), when they bound something."""

WIDTH_SPREAD = 4.0
"""Times the expected bytes per row up to which the widest part that was looked at bounds all others: one odd
partition is not to make many times as many output partitions."""

NOTED_PARTITION_NBYTES = 2**16
"""Smaller output partitions are not held against their sample: a few rows are often longer than the average."""

WIDTH_SAMPLES = 16
"""Partitions whose strings are looked at, at most, evenly spread."""

WIDTH_SAMPLE_VALUES = 2**21
"""Strings that are looked at in all of them, about, but two partitions at the least: a second of one core."""

WIDTH_FOOTERS = 64
"""Parquet files whose footers are read, besides those of the partitions that are looked at, to learn whether
strings are longer elsewhere."""

RESERVED_DEFAULT_NBYTES = 192 * MIB
"""A worker's memory before any data, where it cannot be asked (an asynchronous client)."""

P2P_HAND_OVER_NBYTES = 1 * MIB
"""Rows that a task hands to P2P at a time: P2P's limits are soft by one hand-over a task, and
what it makes of one exists five times over while it is sent."""

P2P_MIN_HAND_OVER_NBYTES = MIB // 8
"""Smaller hand-overs and messages cost more in headers than they save in memory."""

P2P_MAX_HAND_OVER_NBYTES = 4 * MIB
"""Larger ones gain little: what P2P writes for each piece is by then small beside its rows."""

P2P_CONCURRENCY = 1
"""Messages that a worker sends at the same time: each of them is in memory at both ends, and a
worker receives as many from every other. Larger hand-overs are the better use of that memory."""

P2P_TRANSPORT_FRACTION = 0.45
"""Share of what a worker has for data that P2P's buffers and messages may take."""

P2P_SLICE_COPIES = 6.0
"""Copies of a hand-over: its rows, joined with their workers, as Arrow, sorted, as bytes twice."""

P2P_MESSAGE_COPIES = 3.0
"""Copies of a message at its receiver: as it came, unpacked, and cut by output partition."""

P2P_SEND_COPIES = 2.0
"""Copies of an input partition in a task that sends it: as it is read, and as pandas."""

P2P_RECEIVE_COPIES = 4.0
"""Copies of an output partition while it is read back: its pieces, sorted, as pandas, in order."""

MMAP_THRESHOLD_NBYTES = 32 * MIB
"""Blocks below it come from the heap: the largest threshold that glibc takes on 64-bit systems."""

TRIM_THRESHOLD_NBYTES = 512 * MIB
"""Freed bytes at the heap's end from which glibc gives them back, at most."""

TRIM_FRACTION = 1 / 8
"""Share of a worker's limit that its heap may keep at its end before the first recipe runs."""

ARROW_IO_THREADS = 2
"""Threads that read ahead in a worker: one column is read while another is decoded."""

PAUSE_FRACTION = 0.85
"""Share of its limit from which a worker takes no new tasks: above what plans fill, so that
pages which are kept pause nothing, and well below dask's 0.95 where it is killed."""

P2P_BUFFER_FRACTION = 1 / 32
"""Share of a worker's limit for each of P2P's two buffers: both are soft by one batch for every
thread that fills them, and stand beside what the tasks hold."""

P2P_MIN_BUFFER_NBYTES = 8 * MIB
"""Smaller P2P buffers send and write shards one by one."""

P2P_COMM_DEFAULT_NBYTES = 1024 * MIB
"""dask's own buffer of rows to send: never more than this is asked for."""

P2P_STORAGE_DEFAULT_NBYTES = 100 * MIB
"""dask's own buffer of rows to write."""

PIECE_FRACTION = 1 / 32
"""Share of a worker's limit that one array chunk or input partition may have: a task holds
several, and their copies."""

ARRAY_CHUNK_DEFAULT_NBYTES = 128 * MIB
"""dask's own chunk size."""

PARQUET_PARTITION_DEFAULT_NBYTES = 75_000_000
"""dask's own size up to which it reads parquet partitions together."""

SAMPLED_KEYS = 2**20
"""Keys of all partitions that a sort is planned by, at 16 B each. Of 2,048 partitions the largest is
then 4 % above the mean, and known to be at most 21 % above it (docs/decisions/0011)."""

SAMPLED_VALUES = 2**17
"""The same where keys are Python objects (strings, several columns)."""

MIN_SAMPLE_KEYS = 64
"""Fewest keys of one partition."""

MAX_SAMPLE_KEYS = 2**14
"""Most keys of one partition: more would not make shards more even."""

GROUP_NBYTES = 192 * MIB
"""Input of one stage task that joins several partitions: each file costs every shard one read."""

GROUP_COPIES = 3.0
"""Copies of a group's rows at once in a stage task: in Arrow, in shard order, and the gaps that joined columns leave."""

WAITING_ROW_COPIES = 1.0
"""The same where rows lie side by side: in one block, which is written in order a few MiB at a time."""

GROUP_ROUNDS = 8
"""Stage tasks of each thread, at the least, before partitions are joined in one: the last ones end together."""

STAGED_ROW_NBYTES = 24
"""Bytes per row that waits to be staged, for its shard and its place in the order."""

P2P_DASK = "2026.6"
"""dask's P2P can lose rows at 129 and 32769 partitions before this (dask#12427)."""

REBALANCE_PLACES = 256
"""Places in a partition at which it may be cut, at least, where rows differ in size."""

REBALANCE_FINENESS = 64
"""Places for each output partition: with cuts at the nearest of them, partitions are alike to some 2 %."""

REBALANCE_MAX_PLACES = 2**15
"""Places in one partition at most: 512 KiB of row numbers and bytes, sent to the client."""

REBALANCE_EVEN_FACTOR = 1.1
"""The largest partition by the mean, up to which partitions count as alike."""

REBALANCE_FEW_FACTOR = 0.75
"""Partitions after joining neighbours by partitions before, above which joining is not worth it."""

REBALANCE_REREADS = 2.0
"""Times an input partition is made anew, on average, up to which that beats staging it: staging
writes and reads each row once."""

REBALANCE_ROW_NBYTES = 16
"""Bytes of shard numbers that a stage task keeps per row whose order stays."""

SLICE_NBYTES = 16 * MIB
"""Bytes of a slice of a parquet file, about: large beside a page (1 MiB), small beside a worker."""

PARQUET_BUFFER_NBYTES = 1 * MIB
"""Bytes that a parquet column is read ahead by, where a row group is streamed rather than read whole."""

P2P_COMM_SLICES = 4
"""Hand-overs that wait to be sent: a message to each of a few workers while more are being cut."""

P2P_STORAGE_SLICES = 8
"""Hand-overs that wait to be written: rows of a partition are written together when there are many."""

P2P_MAX_MESSAGE_NBYTES = 2 * MIB
"""dask's own messages are full at 2 MiB."""

P2P_MOST_SPREAD = 8
"""How many times smaller than the target partitions may be on average, so that the largest keeps
to it; keys so uneven are better served by a target of their own."""

SLICE_MARGIN = 3
"""Factor on the size of a slice, of which only the mean row is known when it is cut."""

SLICE_READ_NBYTES = 64 * MIB
"""Bytes of pages, dictionaries and decompression while a row group is streamed."""

DOCTOR_DISK_FACTOR = 4
"""Free disk below so many times the memory of the workers that write there is worth a warning:
staged inputs are commonly larger than memory."""

DOCTOR_TASK_NBYTES = 64 * MIB
"""Memory for one task below which plans are made of very small pieces."""

KEY_SUMMARY_COPIES = 10.0
"""Copies of a summary while four of them are joined: these, in one piece, sorted, and joined."""

PAGE_RETURN_LOOK_MS = 100
"""Milliseconds between looks at a worker's memory: as often as dask looks."""

PAGE_RETURN_PAUSE_SECONDS = 0.5
"""Seconds without another try when giving pages back did not help."""

FIRST_SAMPLE_FACTOR = 8
"""Keys that a partition's first sample has for each that stays, when the partitions of a task are thinned as one."""

ROW_GROUP_MIN_NBYTES = 1 * MIB
"""Smaller row groups cost readers more in footers and requests than they save."""

ROW_GROUP_MAX_NBYTES = 64 * MIB
"""Larger row groups cost whoever reads one more memory, and encode no better."""

ROW_GROUP_MAX_ROWS = 2**20
"""pyarrow's own bound of a row group."""

FILE_FRACTION = 0.25
"""Bytes of parquet files per byte in memory, at the least, when room on the disk is checked
before a run: more would refuse writes that fit; a disk that fills up is noticed when it does."""

STORE_READ_THREADS = 16
"""Requests to an object store that a process has under way at once: each waits some 30 ms, so
that sixteen of a few hundred KiB keep a link of 1 Gbit/s busy; Arrow's S3 client has 25 connections."""

STORE_READ_AHEAD_NBYTES = 32 * MIB
"""Bytes that one reader of an object store has asked for before they are wanted."""

STORE_REQUEST_NBYTES = 8 * MIB
"""Neighbouring pieces of a file are asked for together up to so much: larger requests gain nothing."""

STORE_GAP_NBYTES = 256 * 1024
"""Bytes between two pieces that are read along rather than asked around: less than a request's wait."""

STORE_WRITE_BUFFER_NBYTES = 1 * MIB
"""Small writes to an object store are put together to so much before its library sees them."""

STORE_OPEN_FILES = 1024
"""Files of an object store whose length is remembered: each is asked for once, not for every piece."""

PAGE_CACHE_FRACTION = 0.7
"""Share of a memory group that may be used, its page cache included, before staged files are written past the
cache: pages that have to be written before they make room hold every writer up."""

LAG_TASK_FRACTION = 0.9
"""Share of a task's budget that making an output partition with its shifted columns may take."""

CHUNK_COPIES = 2.0
"""Copies of an array's chunk at once while it is made, or consumed: the chunk, and what an operation on it makes."""

CHUNK_BUFFER_NBYTES = 6 * MIB
"""What writing a file takes besides: a buffer of 1 MiB, and an aligned one of 4 MiB past the page cache."""

RECHUNK_EXCHANGES = 3
"""Exchanges that a rechunking may take: with three, lengths that differ by a million are cut by hundreds."""

RECHUNK_PIECE_NBYTES = 2**16
"""What reading one piece costs, as bytes that could be written or read meanwhile: some 0.1 ms at 600 MB/s."""

RECHUNK_TASK_NBYTES = 2**20
"""What a task costs, likewise: some 2 ms."""

RECHUNK_GROUP_NBYTES = 64 * MIB
"""Chunks that are staged as one: larger ones would not make pieces much larger."""

BAG_COPIES = 3.0
"""Copies of a partition of groups at once: lists, what consumes them makes, a shard's items in bytes and as a list."""

BAG_ROW_NBYTES = 64
"""Bytes per item while it is brought together by key: the key's number, place, order, the item in Arrow twice."""

BAG_STAGED_ITEM_NBYTES = 8
"""Bytes per item that keys and counts take in a file, about: unknown before the keys are."""

BAG_GROUP_NBYTES = 256
"""What a group takes besides its items: a tuple, a list, the key, and their place in tables."""

BAG_SAMPLE_PARTITIONS = 4
"""Partitions of a bag that are made to learn its sizes, at most."""

BAG_SAMPLE_ITEMS = 2**8
"""Items that are measured, of those whose type does not say what they take."""

BAG_SHARDS = 8
"""Shards of each output partition: few enough to read, many enough to make partitions alike where keys are few."""

BAG_MAX_SHARDS = 2**13
"""Shards at most: each is a piece of every file."""

BAG_MAX_PIECES = 2**21
"""Pieces of all files at most: what is known of each takes 24 bytes."""

BAG_LOOK_ITEMS = 2**14
"""Items of a partition that are held at once while its items are counted."""

BAG_UNEVENNESS = 1.25
"""The largest partition of groups by the mean one, where the user says how many there are."""

WRITE_FANOUT = 5.0
"""Result rows for each row of both sides from which on a merge is written without them (decision 0018)."""

JOINED_FILE_NBYTES = 128 * MIB
"""Bytes of a parquet file that is written without rows, about."""

JOINED_COPIES = 6.0
"""Copies of a shard's rows written without rows: staged, pandas, in key order, Arrow, values to be written."""

JOINED_ROW_NBYTES = 16
"""Bytes per row of a row group that is written without rows: positions and codes of a page."""

JOINED_CODE_NBYTES = 4
"""Bytes of a row's code in the dictionary pages of its key."""

JOINED_SHARED_NBYTES = 0.25
"""Bytes of a code, compressed, where keys with few rows share pages."""

JOINED_PAGE_NBYTES = 300
"""Bytes of a page's head, its codes as a codec leaves them, and its share of the footer."""

JOINED_FILE_FRACTION = 0.5
"""Bytes of files that are written without rows by those predicted before compression, at the least."""

TOTALS_KEY_NBYTES = 512
"""Bytes of a key's totals, a few columns of them, in all copies while those of eight partitions are joined."""

TOTALS_COMBINE = 8
"""Partitions whose totals per key are joined at once."""
