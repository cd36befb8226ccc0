"""The settings of small workers: values, judgement, and whose a value is."""

from __future__ import annotations

import dask
import pytest

from safeframe import options
from safeframe.deploy import settings as module
from safeframe.deploy.settings import (
    Setting,
    config_is_users,
    environment_is_users,
    is_users_own,
    small_worker_settings,
)

MIB = 2**20
BUFFER = "distributed.p2p.comm.buffer"


def _wanted(limit_nbytes: int) -> dict[str, Setting]:
    return {setting.name: setting for setting in small_worker_settings(limit_nbytes)}


def _setting(**changes: object) -> Setting:
    return Setting(**{"name": "n", "where": "worker", "value": 8 * MIB, "reason": "r", **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "comm", "storage"),
    [
        (64 * MIB, options.P2P_MIN_BUFFER_NBYTES, options.P2P_MIN_BUFFER_NBYTES),
        (1024 * MIB, 32 * MIB, 32 * MIB),
        (4096 * MIB, 128 * MIB, options.P2P_STORAGE_DEFAULT_NBYTES),
        (2**40, options.P2P_COMM_DEFAULT_NBYTES, options.P2P_STORAGE_DEFAULT_NBYTES),
    ],
)
def test_buffers_follow_the_limit_between_a_floor_and_dasks_own(limit: int, comm: int, storage: int) -> None:
    wanted = _wanted(limit)
    assert wanted[BUFFER].value == comm
    assert wanted["distributed.p2p.storage.buffer"].value == storage


def test_the_heap_keeps_a_share_of_the_limit_at_most() -> None:
    assert _wanted(1024 * MIB)["MALLOC_TRIM_THRESHOLD_"].value == 128 * MIB
    assert _wanted(2**40)["MALLOC_TRIM_THRESHOLD_"].value == options.TRIM_THRESHOLD_NBYTES


def test_a_worker_pauses_above_what_plans_fill_and_below_where_it_is_killed() -> None:
    wanted = _wanted(1024 * MIB)
    spill, pause = (float(wanted[f"distributed.worker.memory.{name}"].value) for name in ("spill", "pause"))
    terminate = dask.config.get("distributed.worker.memory.terminate")
    assert options.HEADROOM_FRACTION <= spill < pause < terminate


def test_every_setting_has_a_reason_and_a_name_of_its_own() -> None:
    settings = small_worker_settings(1024 * MIB)
    assert len({setting.name for setting in settings}) == len(settings)
    assert all(setting.reason for setting in settings)


def test_dask_knows_every_setting_by_that_name() -> None:
    missing = object()
    named = [setting.name for setting in small_worker_settings(1) if setting.where != "environment"]
    assert [name for name in named if dask.config.get(name, missing) is missing] == []


def test_dasks_own_sizes_are_what_ours_never_exceed() -> None:
    defaults = {
        BUFFER: options.P2P_COMM_DEFAULT_NBYTES,
        "distributed.p2p.storage.buffer": options.P2P_STORAGE_DEFAULT_NBYTES,
        "array.chunk-size": options.ARRAY_CHUNK_DEFAULT_NBYTES,
        "dataframe.parquet.minimum-partition-size": options.PARQUET_PARTITION_DEFAULT_NBYTES,
    }
    for name, nbytes in defaults.items():
        value = dask.config.get(name, config=module._defaults(len(dask.config.defaults)))
        assert dask.utils.parse_bytes(value) == nbytes


@pytest.mark.parametrize(
    ("rule", "current", "met"),
    [
        ("at most", "8 MiB", True),
        ("at most", "9 MiB", False),
        ("at most", 1, True),
        ("at most", False, False),
        ("at least", "9 MiB", True),
        ("at least", "7 MiB", False),
        ("at least", False, True),
        ("at least", None, False),
        ("at most", None, False),
        ("at most", "", False),
        ("at most", "a lot", False),
    ],
)
def test_how_a_size_compares(rule: str, current: object, met: bool) -> None:
    assert _setting(rule=rule, nbytes=True).is_met_by(current) is met


@pytest.mark.parametrize(("current", "met"), [("system", True), ("mimalloc", False), (None, False)])
def test_how_a_word_compares(current: object, met: bool) -> None:
    assert _setting(value="system").is_met_by(current) is met


def test_values_are_printed_in_units() -> None:
    size = _setting(nbytes=True)
    assert [size.text(value) for value in ("1 GiB", 2 * MIB, None, "much")] == [
        "1 GiB",
        "2 MiB",
        "not set",
        "much",
    ]
    assert _setting().text(0.8) == "0.8"


class TestWhoseAValueIs:
    def test_a_default_is_nobodys(self) -> None:
        assert not config_is_users(BUFFER)

    def test_what_was_set_in_the_program_is_the_users(self) -> None:
        with dask.config.set({BUFFER: "64 MiB"}):
            assert config_is_users(BUFFER)

    def test_what_stands_in_the_environment_is_the_users_even_if_it_is_the_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DASK_DISTRIBUTED__P2P__COMM__BUFFER", "1 GiB")
        assert config_is_users(BUFFER)

    def test_only_what_does_not_do_is_kept_as_the_users(self) -> None:
        setting = _wanted(1024 * MIB)[BUFFER]
        for value, own in (("64 MiB", True), ("16 MiB", False)):
            with dask.config.set({BUFFER: value}):
                assert is_users_own(setting) is own

    def test_a_variable_that_a_nanny_has_left_is_not_the_users(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_started_with", dict)
        assert not environment_is_users("MALLOC_TRIM_THRESHOLD_", "65536")
        assert environment_is_users("MALLOC_TRIM_THRESHOLD_", "0")
        assert environment_is_users("MALLOC_ARENA_MAX", "2")
        assert not environment_is_users("MALLOC_ARENA_MAX", None)

    def test_a_variable_that_the_process_was_started_with_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_started_with", lambda: {"MALLOC_TRIM_THRESHOLD_": "65536"})
        assert environment_is_users("MALLOC_TRIM_THRESHOLD_", "65536")

    def test_on_a_worker_dasks_own_value_is_nobodys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        setting = _wanted(1024 * MIB)["MALLOC_TRIM_THRESHOLD_"]
        for value, own in (("65536", False), ("0", True), (str(2**30), False)):
            monkeypatch.setenv(setting.name, value)
            assert is_users_own(setting) is own


def test_sizes_are_written_with_a_unit_where_dask_reads_them() -> None:
    """A C library reads bytes alone, and what is at most a size is rounded down."""
    limit = 512 * MIB + 1000
    wanted = _wanted(limit)
    assert wanted[BUFFER].written == "16 MiB"
    assert wanted[BUFFER].is_met_by(wanted[BUFFER].written)
    assert wanted["array.chunk-size"].is_met_by(wanted["array.chunk-size"].written)
    assert str(wanted["array.chunk-size"].written).endswith(" MiB")
    assert isinstance(wanted["MALLOC_TRIM_THRESHOLD_"].written, int)
    assert wanted["distributed.p2p.comm.concurrency"].written == options.P2P_CONCURRENCY
