"""From a collection to the plans in it, and to the steps of plain dask that gather or multiply rows."""
