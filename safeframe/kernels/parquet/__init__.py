"""Parquet files whose rows are never made, and how columns are encoded."""
