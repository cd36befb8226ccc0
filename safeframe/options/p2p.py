"""The buffers and messages of dask's P2P."""

MIB = 2**20

P2P_HAND_OVER_NBYTES = 1 * MIB
"""Rows that a task hands to P2P at a time: P2P's limits are soft by one hand-over a task, and
what it makes of one exists five times over while it is sent."""

P2P_MIN_HAND_OVER_NBYTES = MIB // 8
"""Smaller hand-overs and messages cost more in headers than they save in memory."""

P2P_MAX_HAND_OVER_NBYTES = 4 * MIB
"""Larger ones gain little: what P2P writes for each piece is by then small compared with its rows."""

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

P2P_BUFFER_FRACTION = 1 / 32
"""Share of a worker's limit for each of P2P's two buffers: both are soft by one batch for every
thread that fills them, and count in addition to what the tasks hold."""

P2P_MIN_BUFFER_NBYTES = 8 * MIB
"""Smaller P2P buffers send and write shards one by one."""

P2P_COMM_DEFAULT_NBYTES = 1024 * MIB
"""dask's own buffer of rows to send: never more than this is requested."""

P2P_STORAGE_DEFAULT_NBYTES = 100 * MIB
"""dask's own buffer of rows to write."""

P2P_DASK = "2026.6"
"""dask's P2P can lose rows at 129 and 32769 partitions before this (dask#12427)."""

P2P_COMM_SLICES = 4
"""Hand-overs that wait to be sent: a message to each of a few workers while more are being cut."""

P2P_STORAGE_SLICES = 8
"""Hand-overs that wait to be written: rows of a partition are written together when there are many."""

P2P_MAX_MESSAGE_NBYTES = 2 * MIB
"""dask's own messages are full at 2 MiB."""

P2P_MOST_SPREAD = 8
"""How many times smaller than the target partitions may be on average, so that the largest keeps
to it; keys so uneven are better served by a target of their own."""
