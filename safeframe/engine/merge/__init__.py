"""Merges, one module for each way that a merge runs."""
