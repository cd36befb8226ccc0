"""Arguments and targets of ``to_parquet``."""
