"""Rows and bytes of partitions."""
