"""The only door to names that dask and distributed do not promise to keep.

Everything here is private to dask, undocumented, or an attribute of one of its
objects that no documentation names; each has a note on why the public API does
not do. ``tests/contract/test_dask_names.py`` has a test for each, which fails
when dask changes what we rely on, and a test that none is without one.

- ``expressions``: the classes of dask's expressions, and which of them are what in pandas
- ``gathering``: steps of a user's frame that bring rows together, and what dask knows of them
- ``trees``: our own functions on any expression: its parts, its fingerprint, its concrete form
- ``parquet``: what a parquet source reads, and reading a part of it in slices
- ``p2p``: the parts of a P2P shuffle, and the limits of its buffers
- ``cluster``: what workers, nannies and the scheduler hold

Not behind this door, on purpose:

- ``_meta``, ``_name`` and ``_parameters`` of collections and expressions. Every library on
  dask reads them, and a function around each would hide nothing.
- What a subclass of ``Expr`` defines for dask to call (``_divisions``,
  ``_layer``, ``_task``, ``_lower``, ``_simplify_up``, …): a class comes in by this door, and
  its subclasses keep to its protocol.
- Public names: ``dask.task_spec``, ``dask.dataframe.api``, ``dask.base``, ``dask.highlevelgraph``.
"""
