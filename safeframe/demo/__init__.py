"""The demonstration: a reported question, explained and then run.

Covers: its tables at any scale, and what ``safeframe demo`` shows.
Does not cover: the command line (:mod:`safeframe.cli`).
"""
