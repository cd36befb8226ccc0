"""What a worker has, keeps and gives back: memory, allocators, disk."""

MIB = 2**20

HEADROOM_FRACTION = 0.8
"""Share of a worker's limit that plans fill: dask pauses a worker at 0.8 of it, which kept pages may make last."""

RESERVED_GROWTH_NBYTES = 80 * MIB
"""What a worker's resident memory grows by, beyond its idle size, without holding data:
libraries loaded with the first task, thread stacks, pages that the allocators keep."""

RESERVED_DEFAULT_NBYTES = 192 * MIB
"""A worker's memory before any data, where it cannot be queried (an asynchronous client)."""

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

DOCTOR_DISK_FACTOR = 4
"""Free disk below so many times the memory of the workers that write there is worth a warning:
staged inputs are commonly larger than memory."""

DOCTOR_TASK_NBYTES = 64 * MIB
"""Memory for one task below which plans are made of very small pieces."""

PAGE_RETURN_LOOK_MS = 100
"""Milliseconds between looks at a worker's memory: as often as dask looks."""

PAGE_RETURN_PAUSE_SECONDS = 0.5
"""Seconds without another try when giving pages back did not help."""

PAGE_CACHE_FRACTION = 0.7
"""Share of a memory group that may be used, its page cache included, before staged files are written past the
cache: pages that have to be written before they make room hold every writer up."""

GIVE_BACK_SECONDS = 5.0
"""Between two collections of garbage before plans are made: each takes tenths of a second."""

NEW_WORKER_SECONDS = 60
"""How long to wait for a worker when all have died: a nanny starts another in some seconds."""
