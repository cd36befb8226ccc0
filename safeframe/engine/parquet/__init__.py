"""Writes parquet files."""
