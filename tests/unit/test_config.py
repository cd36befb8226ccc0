"""Settings: defaults are complete, described, and give way to the user."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from typing import Any

import dask.config
import dask.dataframe as dd
import pandas as pd
import pytest
import yaml

from safeframe import config, merge, options
from safeframe.errors import ValidationError


def test_defaults_are_loaded_under_the_library_name() -> None:
    assert list(config.defaults()) == ["safeframe"]
    assert dask.config.get("safeframe.staging.directory") is None
    assert dask.config.get("safeframe.partition-size") is None


def test_defaults_agree_with_the_options_that_give_the_reasons() -> None:
    assert dask.config.get("safeframe.headroom") == options.HEADROOM_FRACTION
    assert dask.config.get("safeframe.key-capacity") == options.KEY_CAPACITY


def test_every_default_is_described_in_the_schema() -> None:
    schema = yaml.safe_load(resources.files("safeframe").joinpath("safeframe-schema.yaml").read_text())
    _assert_described(config.defaults(), schema)


def _assert_described(values: dict[str, Any], schema: dict[str, Any]) -> None:
    assert set(values) == set(schema["properties"])
    for name, value in values.items():
        entry = schema["properties"][name]
        if isinstance(value, dict):
            _assert_described(value, entry)
        else:
            assert entry["description"].strip()


def test_a_user_sets_it_for_a_while() -> None:
    with dask.config.set({"safeframe.staging.directory": "/scratch"}):
        assert dask.config.get("safeframe.staging.directory") == "/scratch"
    assert dask.config.get("safeframe.staging.directory") is None


def test_the_environment_wins_over_the_default() -> None:
    code = "import dask, safeframe; print(dask.config.get('safeframe.staging.directory'), dask.config.get('safeframe.key-capacity'))"
    env = {
        **os.environ,
        "DASK_SAFEFRAME__STAGING__DIRECTORY": "/scratch",
        "DASK_SAFEFRAME__KEY_CAPACITY": "7",
    }
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["/scratch", "7"]


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(KeyError, match="no-such-setting"):
        dask.config.get("safeframe.no-such-setting")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("headroom", "lots"),
        ("headroom", None),
        ("headroom", 0),
        ("headroom", 2),
        ("headroom", float("nan")),
        ("headroom", True),
        ("key-capacity", "many"),
        ("key-capacity", None),
        ("key-capacity", 0),
        ("key-capacity", 1.5),
        ("partition-size", "lots"),
        ("partition-size", 0),
    ],
)
def test_a_setting_that_makes_no_sense_is_said_by_its_name(name: str, value: Any) -> None:
    frame = pd.DataFrame({"k": range(6), "v": 1.0})
    left, right = dd.from_pandas(frame, npartitions=2), dd.from_pandas(frame[["k"]], npartitions=1)
    with (
        dask.config.set({f"safeframe.{name}": value, "scheduler": "sync"}),
        pytest.raises(ValidationError, match=rf"safeframe\.{name}=(.|\n)*Hint: "),
    ):
        merge(left, right, on="k", strategy="staged")


@pytest.mark.parametrize("value", [True, False, None])
def test_progress_is_one_of_three(value: bool | None) -> None:
    with dask.config.set({"safeframe.progress": value}):
        assert config.progress() is value


@pytest.mark.parametrize("value", ["auto", 1, 0.5])
def test_progress_that_is_none_of_them_is_refused(value: Any) -> None:
    with (
        dask.config.set({"safeframe.progress": value}),
        pytest.raises(ValidationError, match=r"safeframe\.progress="),
    ):
        config.progress()
