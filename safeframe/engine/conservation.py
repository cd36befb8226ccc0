"""Rows in are rows out: the check that every exchange makes of its files."""

from __future__ import annotations

from safeframe.errors import RowConservationError
from safeframe.units import format_count

__all__ = ["conserved", "rows_lost"]


def conserved(rows_in: int, rows_out: int, where: str) -> None:
    """Raise unless as many rows came out as went in.

    Raises
    ------
    RowConservationError
        With both numbers.
    """
    if rows_in != rows_out:
        raise rows_lost(where, rows_in, rows_out)


def rows_lost(where: str, rows_in: int, rows_out: int) -> RowConservationError:
    """Make the error, with both numbers."""
    msg = f"{where}: {format_count(rows_in)} rows went in and {format_count(rows_out)} came out."
    hint = "This is a fault of safeframe or of the disk, not of your data: please report it."
    return RowConservationError(msg, hint=hint, rows_in=rows_in, rows_out=rows_out)
