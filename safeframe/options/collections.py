"""Arrays and bags."""

MIB = 2**20

PIECE_FRACTION = 1 / 32
"""Share of a worker's limit that one array chunk or input partition may have: a task holds
several, and their copies."""

ARRAY_CHUNK_DEFAULT_NBYTES = 128 * MIB
"""dask's own chunk size."""

CHUNK_COPIES = 2.0
"""Copies of an array's chunk at once while it is made, or consumed: the chunk, and what an operation on it makes."""

CHUNK_BUFFER_NBYTES = 6 * MIB
"""What writing a file takes besides: a buffer of 1 MiB, and an aligned one of 4 MiB past the page cache."""

RECHUNK_EXCHANGES = 3
"""Exchanges that a rechunking may take: with three, lengths that differ by a million are cut by hundreds."""

RECHUNK_PIECE_NBYTES = 2**16
"""What reading one piece costs, as bytes that could be written or read meanwhile: some 0.1 ms at 600 MB/s."""

RECHUNK_TASK_NBYTES = 2**20
"""What a task costs: also some 2 ms of time."""

RECHUNK_GROUP_NBYTES = 64 * MIB
"""Chunks that are staged as one: larger ones would not make pieces much larger."""

BAG_COPIES = 3.0
"""Copies of a partition of groups at once: lists, what consumes them makes, a shard's items in bytes and as a list."""

BAG_ROW_NBYTES = 64
"""Bytes per item while it is grouped by key: the key's number, place, order, the item in Arrow twice."""

BAG_STAGED_ITEM_NBYTES = 8
"""Bytes per item that keys and counts take in a file, about: unknown before the keys are."""

BAG_GROUP_NBYTES = 256
"""What a group takes besides its items: a tuple, a list, the key, and their place in tables."""

BAG_SAMPLE_PARTITIONS = 4
"""Partitions of a bag that are made to learn its sizes, at most."""

BAG_SAMPLE_ITEMS = 2**8
"""Items that are measured, of those whose type does not say what they take."""

BAG_SHARDS = 8
"""Shards of each output partition: few enough to read, many enough to make partitions even where keys are few."""

BAG_MAX_SHARDS = 2**13
"""Shards at most: each is a piece of every file."""

BAG_MAX_PIECES = 2**21
"""Pieces of all files at most: what is known of each takes 24 bytes."""

BAG_LOOK_ITEMS = 2**14
"""Items of a partition that are held at once while its items are counted."""

BAG_UNEVENNESS = 1.25
"""The largest partition of groups by the mean one, where the user says how many there are."""
