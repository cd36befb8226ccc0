"""Labels of rows are written without pandas looking through them for attributes that a column does not have."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import safeframe


def labels(kind, n=500):
    numbers = np.random.default_rng(0).permutation(n)
    text = pd.Index([f"label {number}" for number in numbers], dtype="str", name="label")
    return {
        "text": text,
        "unnamed": text.rename(None),
        "numbers": pd.Index(numbers, name="label"),
        "times": pd.DatetimeIndex(pd.to_datetime(numbers, unit="h"), name="label"),
        "categories": pd.CategoricalIndex(text.str[:7], name="label"),
    }[kind]


@pytest.mark.parametrize("kind", ["text", "unnamed", "numbers", "times", "categories"])
@pytest.mark.parametrize("write_index", [True, False])
def test_rows_come_back(tmp_path, kind, write_index):
    frame = pd.DataFrame(
        {
            "x": np.arange(500),
            "y": np.linspace(0, 1, 500),
            "s": pd.Series([f"{n}" for n in range(500)], dtype="str"),
        }
    )
    frame.index = labels(kind)
    ddf = dd.from_pandas(frame, npartitions=3, sort=False)
    safeframe.to_parquet(ddf, str(tmp_path / "ours"), write_index=write_index)
    ddf.compute().to_parquet(tmp_path / "theirs", index=write_index)
    found, expected = pd.read_parquet(tmp_path / "ours"), pd.read_parquet(tmp_path / "theirs")
    if kind == "unnamed" and write_index:
        assert found.index.name == "__null_dask_index__"
        found.index.name = None
    pd.testing.assert_frame_equal(found, expected, check_index_type=kind != "categories")


def test_no_table_of_labels_is_made(tmp_path, monkeypatch):
    real, looked = pd.Index._can_hold_identifiers_and_holds_name, []

    def holds(self, name):
        if len(self) > 100 and not isinstance(self, pd.RangeIndex):
            looked.append(name)
        return real(self, name)

    monkeypatch.setattr(pd.Index, "_can_hold_identifiers_and_holds_name", holds)
    text = pd.Series([f"{n}" for n in range(900)], dtype="str")
    frame = pd.DataFrame({"x": np.arange(900), "k": text, "i": text.iloc[::-1].to_numpy()}).set_index("i")
    with dask.config.set(scheduler="sync"):
        ddf = dd.from_pandas(frame, npartitions=2, sort=False)
        safeframe.to_parquet(ddf, str(tmp_path / "written"))
        counts = safeframe.value_counts(ddf, "k", npartitions=2, strategy="staged", staging=str(tmp_path))
        safeframe.to_parquet(counts.to_frame(), str(tmp_path / "counts"))
    assert len(pd.read_parquet(tmp_path / "counts")) == 900
    assert not looked
