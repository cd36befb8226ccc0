"""Runs plans on dask: exchanges, expression nodes, staging directories.

Covers: everything that knows dask's graphs. ``_dask.py`` is the only module
that imports names dask does not promise to keep.
Does not cover: choosing what to run (``planning``).
"""
