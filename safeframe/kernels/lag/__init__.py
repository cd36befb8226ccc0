"""Columns shifted within groups."""
