"""Widths and contents of columns."""
