"""The only door to names that dask and distributed do not promise to keep."""
