"""Parquet footers, and partitions read in slices."""
