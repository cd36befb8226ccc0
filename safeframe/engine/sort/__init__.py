"""Sorting, indexing and shuffling."""
