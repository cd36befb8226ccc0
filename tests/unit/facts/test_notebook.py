"""Estimates and key statistics: short where they are represented, whole and harmless in a notebook."""

from __future__ import annotations

from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe
from safeframe.facts.keys import KeyColumn, KeySchema, KeyStatistics
from tests.markup import check_page, text_of

EVIL = "<script>alert(1)</script>"
KEYS = np.array([f"{EVIL}{n}" for n in range(300)] + ["x" * 10**5], dtype=object)
LEFT = pd.DataFrame({EVIL: KEYS[np.minimum(np.arange(3_000) % 400, 300)], "v": 1.5})
RIGHT = pd.DataFrame({EVIL: KEYS, "w": 2})


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    with dask.config.set(scheduler="sync"):
        left, right = dd.from_pandas(LEFT, npartitions=5), dd.from_pandas(RIGHT, npartitions=2)
        return {
            "FrameEstimate": safeframe.estimate(left),
            "MergeEstimate": safeframe.estimate_merge(left, right, on=EVIL, how="outer"),
            "KeyStatistics": safeframe.key_statistics(left, EVIL),
        }


NAMES = ("FrameEstimate", "MergeEstimate", "KeyStatistics")


@pytest.mark.parametrize("name", NAMES)
def test_the_representation_is_a_line(shown: dict[str, Any], name: str) -> None:
    line = repr(shown[name])
    assert line.startswith(f"<{name}")
    assert "3,000 rows" in line or "exactly" in line
    assert len(line) <= 200
    assert "\n" not in line


@pytest.mark.parametrize("name", NAMES)
def test_the_text_is_short(shown: dict[str, Any], name: str) -> None:
    assert 2 <= len(str(shown[name]).splitlines()) <= 10
    assert len(str(shown[name])) < 1_000


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_sound(shown: dict[str, Any], name: str) -> None:
    page = shown[name]._repr_html_()
    check_page(page)
    assert "<script" not in page
    assert EVIL in text_of(page)
    assert len(page) < 12_000


def test_the_heaviest_keys_come_first(shown: dict[str, Any]) -> None:
    keys = shown["KeyStatistics"]
    (heaviest, rows), *others = keys.heaviest(3)
    counts = LEFT[EVIL].value_counts()
    assert rows == counts.iloc[0] == counts["x" * 10**5]
    assert heaviest.startswith("'xxx")
    assert len(heaviest) == 40
    assert [count for _, count in others] == counts.iloc[1:3].tolist()
    assert f"{rows:,}" in text_of(keys._repr_html_())


def test_columns_of_a_wide_frame_are_not_all_shown() -> None:
    with dask.config.set(scheduler="sync"):
        wide = dd.from_pandas(pd.DataFrame({f"c{n}": [1] for n in range(500)}), npartitions=1)
        text = text_of(safeframe.estimate(wide)._repr_html_())
    assert "500 columns" in text
    assert "the first 100 of them" in text
    assert "c99" in text
    assert "c100" not in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"exact": True}, "every key"),
        ({"exact": False, "sample_fraction": 0.125}, "12.50% of the keys, and the heaviest"),
        ({"exact": False, "sample_fraction": 0.125, "heavy_error": 7}, "and the heaviest to within 7 rows"),
    ],
)
def test_how_much_is_known_of_keys(changes: dict[str, Any], words: str) -> None:
    from dataclasses import replace

    schema = KeySchema(columns=(KeyColumn(kind="int"),))
    nothing = KeyStatistics.uncounted(on=(None,), schema=schema, rows=np.array([3, 5]))
    assert "no key: rows of partitions are known" in str(nothing)
    assert "keys of index" in str(nothing)
    check_page(nothing._repr_html_())
    assert words in str(replace(nothing, **{"heavy_error": 0, **changes}))
