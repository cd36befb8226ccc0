"""How much is counted, and how much is sampled, before anything is planned."""

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

KEY_SLICE_ROWS = 2**20
"""Rows of key columns that are read at a time, about: some 100 MiB with all that counting them takes. Most partitions
are one slice, so that summaries are joined no more often than partitions are."""

KEY_SLICE_NBYTES = 2**25
"""Bytes of a slice of wide keys, at most."""

KEY_TEXT_NBYTES = 24
"""Bytes of a short string, of which a slice is to have so many rows."""

KEY_TASK_PARTITIONS = 8
"""Input partitions that one task counts the keys of, one after the other, at most."""

KEY_MIN_TASKS = 32
"""Tasks below which partitions are not grouped: work for the threads of a few machines."""

SORT_SLICE_NBYTES = 16 * 2**20
"""Bytes of key columns from which on a partition of files is sampled in slices of as many: strings are put in order in
some ten times their bytes."""

SORT_SLICE_SAMPLES = 4
"""Samples of slices that are held before they are joined to one."""

KEY_COMBINE = 2
"""Summaries that one task joins: 32 MiB of them at most, with the default capacity. Of four, workers held up to nine at once, and
counting 20 M or 100 M keys took as long."""

THRESHOLD_HASHES = 2**14
"""Smallest hashes by which the first partitions tell how many keys there are: 128 KiB, and 0.8 %."""

THRESHOLD_SIGMAS = 8.0
"""Standard deviations by which the threshold that follows is kept on the safe side: of 10**14 samples one
is smaller than it could be."""

JOIN_SIZE_SIGMAS = 4.0
"""Standard deviations on either side of a sampled join size: one interval in some ten
thousand misses."""

KEY_BOUNDS = 2**12
"""Strings among which others are placed where a merge is to keep their order, besides each partition's
ends: keys between two of them are joined in one go, which 4,096 make small."""

KEY_BOUND_ROWS = 2**7
"""Rows of a partition that such strings are taken from."""

SAMPLE_MARGIN = 1.5
"""Factor on sizes that come from a sample of the keys, when they bound something: the least one."""

SHARD_SIGMAS = 5.0
"""Standard deviations by which a shard of sampled keys may have more than its sample says: passed once in three million."""

SHARD_MARGIN = 4.0
"""The largest factor that this makes: shards are cut for it, and one that a larger factor cuts would be read many times."""

WIDTH_MARGIN = 1.25
"""Factor on bytes per row that come from a sample of rows (strings), when they bound something."""

WEIGHED_ROW_NBYTES = 8
"""Bytes that a row counts more than it has, where partitions are cut by bytes: what kernels keep for each row, by the
copies of its values that they make."""

WIDTH_RANGES = 2**12
"""Ranges of keys whose rows are measured where they are much wider in some parts: 64 KiB of figures a task."""

WIDTH_SPREAD = 4.0
"""Times the expected bytes per row up to which the widest part that was sampled bounds all others: one odd
partition is not to make many times as many output partitions."""

WIDTH_SAMPLES = 16
"""Partitions whose strings are sampled, at most, evenly spread."""

WIDTH_SAMPLE_VALUES = 2**21
"""Strings that are sampled in all of them, about, but two partitions at the least: a second of one core."""

WIDTH_FOOTERS = 256
"""Partitions of parquet files whose footers are read for the bytes of their strings, at most, evenly spread: a
footer of 16 columns takes a millisecond (docs/decisions/0032)."""

WIDTH_SLICES = 32
"""Row groups whose first rows are measured where footers do not tell how long strings are."""

WIDTH_SLICE_NBYTES = 2**20
"""Bytes of those rows, about: a page of each column, as the usual writer makes them."""

SAMPLED_KEYS = 2**20
"""Keys of all partitions that a sort is planned by, at 16 B each. Of 2,048 partitions the largest is
then 4 % above the mean, and known to be at most 21 % above it (docs/decisions/0011)."""

SAMPLED_VALUES = 2**17
"""The same where keys are Python objects (strings, several columns)."""

MIN_SAMPLE_KEYS = 64
"""Fewest keys of one partition."""

MAX_SAMPLE_KEYS = 2**14
"""Most keys of one partition: more would not make shards more even."""

KEY_SLICE_COPIES = 2.25
"""Copies of the key columns of a slice: the batches that were decoded, these in one piece, and pages that an allocator
keeps (docs/decisions/0035)."""

KEY_ROW_NBYTES = 56
"""Bytes for each row of a slice: its code, that in order, where each key begins, counts, hashes, and what is selected by."""

KEY_SUMMARY_COPIES = 8.5
"""Copies of a summary that a worker holds while it counts: what slices are added to, with the result and its hashes, and
up to five that wait for their neighbours. Up to 7.8 were seen (100 M rows of a million keys)."""

KEY_MIN_CAPACITY = 2**16
"""Distinct keys that are counted exactly however little memory a task has: a summary of 1 MiB."""

KEY_MIN_SLICE_ROWS = 2**16
"""Rows of key columns that are read at a time however little memory a task has."""

FIRST_SAMPLE_FACTOR = 8
"""Keys that a partition's first sample has for each that stays, when the partitions of a task are thinned as one."""

TOTALS_KEY_NBYTES = 512
"""Bytes of a key's totals, a few columns of them, in all copies while those of eight partitions are joined."""

TOTALS_COMBINE = 8
"""Partitions whose totals per key are joined at once."""

TABLE_MIN_ROWS = 2**22
"""Rows of the side whose keys a merge by a table does not count, at least: counting fewer takes less than a second."""

INTEGER_SAMPLES = 3
"""Partitions whose integers are read where nothing else has their range."""

OBJECT_ROWS = 1000
"""Values of a partition's column that are read, about."""

VARIABLE_NBYTES = 64.0
"""Bytes of a value of variable width of which none could be sampled, or not yet."""

FOOTERS_AT_ONCE = 8
"""Footers that one task reads."""

BOUNDED_KEYS = 2**20
"""Keys up to which it is of use to know by files alone that there are not more."""

BOUNDED_TEXT_NBYTES = 2**21
"""Bytes of a dictionary up to which it is read for that: usual writers make none of more than half as many."""

TABLE_SPARSITY = 4
"""Places of a table for each of its rows, at most."""

TABLE_NEAR_NBYTES = 2**20
"""Bytes of bits that say which keys there are, which are joined however far apart they are."""

REMEMBERED_NBYTES = 2**26
"""Bytes of what the client keeps of frames that it looked at: both sides of a merge or two, with the default capacity."""

PROFILE_NBYTES = 2**10
"""Bytes of what is known of a column's width, about."""

KEY_FIRST_TASKS = 4
"""Tasks that wait for no other: one for each worker of a small cluster."""

REPORTED_KEYS = 10
"""Keys with the most result rows that an estimate names: whoever reads it looks at the first few."""

DISTINCT_FAN_IN = 4
"""Tables of distinct keys that one task joins."""

DISTINCT_ROW_NBYTES = 64
"""Bytes of a row whose key is numbered, besides the key, its hash and its order: numbers, their ranks and where each
begins."""

DISTINCT_REDUCED_FRACTION = 0.5
"""Distinct keys by rows up to which a stage task leaves out keys that it has met: that costs a sort of its keys, and
pays where many rows go."""

DISTINCT_SLICES = 4
"""Slices that a partition is read in, by those that its bytes make: row groups and pages may end some of them earlier."""

DISTINCT_PLACE_NBYTES = 18
"""Bytes of a row of a partition that is filtered: its place, as it was staged and as it is read, and a mark."""
