"""Runs plans on dask: exchanges, expression nodes, staging directories.

Covers: everything that knows dask's graphs. ``safeframe._dask`` is the only module
that imports names dask does not promise to keep.
Does not cover: choosing what to run (``planning``).
"""
