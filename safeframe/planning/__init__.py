"""Pure functions from facts to plans.

Covers: strategy ladders, shard layouts, memory and disk formulas, join sizes.
Does not cover: gathering facts or running plans. Nothing here imports dask or
pyarrow, reads a clock or draws a random number.
"""
