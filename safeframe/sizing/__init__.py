"""Gathers facts: from parquet footers, key columns, samples and clusters.

Covers: everything that reads data or asks a cluster before a plan is made.
Does not cover: deciding anything (``planning``).
"""
