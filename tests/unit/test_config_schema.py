"""Settings that are not known, or have no value that they can have, are named, whichever way they were set."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dask.array as da
import dask.config
import dask.dataframe as dd
import pandas as pd
import pytest

import safeframe
from safeframe import config, config_schema
from safeframe.errors import ValidationError

KEYWORDS = {
    "type", "properties", "additionalProperties", "description", "format", "enum",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
}  # fmt: skip


@pytest.fixture
def reloaded() -> Iterator[Any]:
    """Return a function that reads files and the environment again, as at dask's import."""
    before = copy.deepcopy(dask.config.config)
    yield dask.config.refresh
    dask.config.config.clear()
    dask.config.config.update(before)


def refused() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        config.headroom()
    return caught.value


class TestWaysToSet:
    """The same mistake, by each way that dask has."""

    def test_in_a_program(self) -> None:
        with dask.config.set({"safeframe.headrom": 0.5}):
            error = refused()
        assert error.message == "There is no setting safeframe.headrom=0.5."
        assert error.hint.startswith("Did you mean safeframe.headroom? ")

    def test_in_the_environment(self, monkeypatch: pytest.MonkeyPatch, reloaded: Any) -> None:
        monkeypatch.setenv("DASK_SAFEFRAME__STAGIN__DIRECTORY", "/scratch")
        reloaded()
        error = refused()
        assert "safeframe.stagin.directory='/scratch' (from the environment, DASK_SAFEFRAME__" in str(error)
        assert error.hint.startswith("Did you mean safeframe.staging.directory? ")

    def test_in_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reloaded: Any) -> None:
        path = tmp_path / "mine.yaml"
        path.write_text("safeframe:\n  key_capacitty: 5\n")
        monkeypatch.setattr(dask.config, "paths", [str(tmp_path)])
        reloaded(paths=[str(tmp_path)])
        error = refused()
        assert error.message == f"There is no setting safeframe.key_capacitty=5 (from {path})."
        assert error.hint.startswith("Did you mean safeframe.key-capacity? ")

    def test_a_value_in_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reloaded: Any) -> None:
        path = tmp_path / "mine.yaml"
        path.write_text("safeframe:\n  headroom: 80\n")
        monkeypatch.setattr(dask.config, "paths", [str(tmp_path)])
        reloaded(paths=[str(tmp_path)])
        assert f"safeframe.headroom=80 (from {path}) is not a number of more than 0" in str(refused())

    def test_a_value_in_the_environment(self, monkeypatch: pytest.MonkeyPatch, reloaded: Any) -> None:
        monkeypatch.setenv("DASK_SAFEFRAME__HEADROOM", "80%")
        reloaded()
        assert "headroom='80%' (from the environment, DASK_SAFEFRAME__HEADROOM) is not" in str(refused())

    def test_good_ones(self, monkeypatch: pytest.MonkeyPatch, reloaded: Any) -> None:
        monkeypatch.setenv("DASK_SAFEFRAME__KEY_CAPACITY", "7")
        monkeypatch.setenv("DASK_SAFEFRAME__STAGING__DIRECTORY", "/scratch")
        reloaded()
        assert (config.key_capacity(), config.staging_directory()) == (7, "/scratch")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"safeframe.staging-directory": "/x"}, "safeframe.staging.directory"),
        ({"safeframe_headroom": 0.5}, "safeframe.headroom"),
        ({"safeframe-staging-directory": "/x"}, "safeframe.staging.directory"),
        ({"safeframe.staging.directroy": "/x"}, "safeframe.staging.directory"),
        ({"safeframe.partition_siz": "1MiB"}, "safeframe.partition-size"),
    ],
)
def test_the_nearest_name_is_given(given: Mapping[str, Any], meant: str) -> None:
    with dask.config.set(given):
        assert refused().hint.startswith(f"Did you mean {meant}? ")


def test_a_name_like_none_gets_the_list() -> None:
    with dask.config.set({"safeframe.zzz.q": 1}):
        error = refused()
    assert error.message == "There is no setting safeframe.zzz.q=1."
    assert error.hint.startswith("Below safeframe there are headroom, ")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"safeframe.staging": "/x"}, "safeframe.staging='/x' is not a section"),
        ({"safeframe": 3}, "safeframe=3 is not a section"),
        ({"safeframe.staging.directory": 3}, "directory=3 is not a string, or null"),
        ({"safeframe.staging.directory": ""}, "directory='' is not a string, or null"),
        ({"safeframe.headroom": 1.01}, "headroom=1.01 is not a number of more than 0 and at most 1"),
        ({"safeframe.key-capacity": True}, "key-capacity=True is not a whole number of at least 1"),
        ({"safeframe.partition-size": "64 apples"}, "is not a size such as"),
    ],
)
def test_values(given: Mapping[str, Any], said: str) -> None:
    with dask.config.set(given):
        assert said in str(refused())


def test_paths_are_strings_here(tmp_path: Path) -> None:
    with dask.config.set({"safeframe.staging.directory": tmp_path}):
        assert config.staging_directory() == str(tmp_path)


def test_recipes_look_at_all_settings() -> None:
    frame = dd.from_pandas(pd.DataFrame({"k": [2, 1], "t": [1, 2]}), npartitions=1)
    with dask.config.set({"safeframe.headrom": 0.5, "scheduler": "sync"}):
        for call in (
            lambda: safeframe.merge(frame, frame, on="k"),
            lambda: safeframe.sort_values(frame, "k"),
            lambda: safeframe.rebalance_partitions(frame),
            lambda: safeframe.shuffle(frame, "k"),
            lambda: safeframe.rechunk(da.ones(4, chunks=2), (4,)),
            lambda: safeframe.key_statistics(frame, "k"),
            lambda: safeframe.groupby_lag_transform(frame, "k", ["t"], [1], order_by="t"),
        ):
            with pytest.raises(ValidationError, match="headrom"):
                call()


def test_nothing_is_checked_again_until_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    config.headroom()
    looks = []
    look = config_schema._check
    monkeypatch.setattr(config_schema, "_check", lambda *args: (looks.append(args), look(*args)))
    config.headroom()
    config.key_capacity()
    assert not looks
    with dask.config.set({"safeframe.staging.directory": "/x"}):
        config.headroom()
    assert looks


def test_settings_of_others_are_theirs() -> None:
    with dask.config.set({"safeframely": 1, "safeframe-plugin": {"headroom": "?"}, "array.x": 1}):
        assert config.headroom() == 0.8


def test_the_schema_says_only_what_is_checked() -> None:
    def look(entry: Mapping[str, Any]) -> None:
        assert entry.keys() <= KEYWORDS
        assert entry.get("format") in (None, "size")
        assert set(config_schema._types(entry)) <= config_schema._TYPES.keys()
        for part in entry.get("properties", {}).values():
            look(part)

    look(config_schema.schema()["properties"]["safeframe"])
    assert config.defaults().keys() == config_schema.schema()["properties"].keys()
