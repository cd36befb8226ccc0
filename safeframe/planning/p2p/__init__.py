"""Plans exchanges through dask's P2P."""
