"""Columns between pandas and Arrow."""
