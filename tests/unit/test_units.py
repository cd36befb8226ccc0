"""Bytes, counts and seconds as people write them."""

from __future__ import annotations

import pytest

from safeframe.errors import ValidationError
from safeframe.units import format_count, format_nbytes, format_seconds, parse_nbytes


@pytest.mark.parametrize(
    ("size", "nbytes"),
    [
        (1, 1),
        (97, 97),
        ("97", 97),
        ("97B", 97),
        ("3kB", 3_000),
        ("3 KiB", 3 * 2**10),
        ("5MB", 5 * 10**6),
        ("5mib", 5 * 2**20),
        (" 1.5GiB ", 3 * 2**29),
        (".5 TB", 5 * 10**11),
        ("7t", 7 * 10**12),
        ("2 PiB", 2 * 2**50),
    ],
)
def test_sizes_are_read(size: str | int, nbytes: int) -> None:
    assert parse_nbytes(size) == nbytes


@pytest.mark.parametrize("size", ["", "MiB", "1 MiBs", "1,5 GiB", "-1", "1e3", None, True, [1]])
def test_what_is_no_size_is_refused_with_its_name(size: object) -> None:
    with pytest.raises(ValidationError, match=r"^memory=.* is not a size\.\n\nHint: Write a size as"):
        parse_nbytes(size, argument="memory")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, -5, "0 MiB", "0.4B"])
def test_a_size_is_more_than_nothing(size: str | int) -> None:
    with pytest.raises(ValidationError, match="not more than zero"):
        parse_nbytes(size)


def test_a_setting_of_dasks_may_be_no_bytes() -> None:
    assert parse_nbytes("0 MiB", least=0) == 0
    with pytest.raises(ValidationError, match="not more than zero"):
        parse_nbytes(-1, least=0)


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_024, "1 KiB"),
        (1_536, "1.5 KiB"),
        (10 * 2**20 + 2**19, "10.5 MiB"),
        (627_048_448, "598 MiB"),
        (2**30, "1 GiB"),
        (6_400_000_000_000, "5.82 TiB"),
        (5_000 * 2**40, "5000 TiB"),
    ],
)
def test_sizes_are_printed_with_three_digits(nbytes: int, text: str) -> None:
    assert format_nbytes(nbytes) == text


@pytest.mark.parametrize("text", ["598 MiB", "1.5 KiB", "5.82 TiB", "17 B"])
def test_what_is_printed_can_be_read(text: str) -> None:
    assert format_nbytes(parse_nbytes(text)) == text


def test_counts_are_printed_in_full() -> None:
    assert format_count(99_998_704_311) == "99,998,704,311"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "0.01 s"),
        (1.234, "1.23 s"),
        (12.34, "12.3 s"),
        (99.94, "99.9 s"),
        (127, "2 min 7 s"),
        (7_384, "2 h 3 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
