"""Partitions of bounded, even bytes."""
