"""Work on one partition at a time: pandas, Arrow and numpy in and out.

Covers: key codes and counts, shard order, virtual joins, column gathering.
Does not cover: graphs, files or clusters. Nothing here imports dask.
"""
