"""Joins of the rows of one shard."""
