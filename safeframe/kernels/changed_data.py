"""The error for data that are not those that a plan was made for.

A plan is a set of promises about rows: how many there are, which keys they have,
that none stays without a match. A run that meets other rows must not go on: it
would take rows that are not there, or miss some.
"""

from __future__ import annotations

from safeframe.errors import RowConservationError
from safeframe.facts.keys import PlannedKeys
from safeframe.units import format_count

_HINT = (
    "The data changed after the plan was made, or the input returns different rows each time it is computed: make the "
    "collection again, or persist() the frames before. Statistics that were passed have to be those of these frames."
)


def data_changed(message: str, *, planned: int, found: int) -> RowConservationError:
    """Return the error, with the number that was planned and the one that was found."""
    return RowConservationError(message, hint=_HINT, rows_in=planned, rows_out=found)


def files_changed(first: str, files: int) -> RowConservationError:
    """Return the error for files that are not those that a plan was made of, with one of them."""
    others = "" if files == 1 else f" (and {format_count(files - 1)} more)"
    msg = f"{first!r}{others} was written or removed after the plan was made."
    return RowConservationError(msg, hint=_HINT, changed_files=files)


def check_planned(planned: PlannedKeys, rows: int, checksum: int | None) -> None:
    """Raise unless the rows of a frame are those that were planned.

    Parameters
    ----------
    planned
        What was counted when the plan was made.
    rows
        The rows now.
    checksum
        Of their keys, as ``kernels.keys.counts.key_checksum``; None where it was not computed.

    Raises
    ------
    RowConservationError
        When there are more or other rows; or fewer, where none was filtered.
    """
    if rows > planned.rows or (rows < planned.rows and not planned.fewer):
        msg = (
            f"{planned.name} has {format_count(rows)} rows, and had {format_count(planned.rows)} when the plan was "
            "made."
        )
        raise data_changed(msg, planned=planned.rows, found=rows)
    if checksum is not None and planned.checksum is not None and checksum != planned.checksum:
        msg = f"{planned.name} has as many rows as when the plan was made, {format_count(rows)}, and other keys."
        raise data_changed(msg, planned=planned.rows, found=rows)
