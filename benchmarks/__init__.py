"""Situations, limits and the side-by-side runner; shared with the tests."""
