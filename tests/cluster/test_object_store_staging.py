"""Staging through an object store: an S3-compatible server on loopback, workers that share no directory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import psutil
import pyarrow.fs as pafs
import pytest
from distributed import Client, Nanny, Scheduler, SpecCluster, wait

import safeframe
from safeframe.engine.storage.remote import RemoteStore, remote_store
from safeframe.engine.storage.sessions import _sessions
from safeframe.sizing.staging_url import staging_base

pytestmark = pytest.mark.cluster

SECRET = "not-to-be-shown"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    # Nothing of this may leave the machine.
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "NO_PROXY": "127.0.0.1",
}


class ObjectStore:
    """moto's server in a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.requests: list[str] = []
        self._logged = threading.Condition()
        assert self.process.stdout is not None
        self.url = ""
        for line in self.process.stdout:
            if "Running on " in line:
                self.url = line.rpartition("Running on ")[2].split()[0]
                break
        threading.Thread(target=self._listen, daemon=True).start()
        self.client = boto3.client("s3", endpoint_url=self.url)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "HTTP/1." in line:
                with self._logged:
                    self.requests.append(line)
                    self._logged.notify_all()

    def sent(self, bucket: str, name: str) -> list[str]:
        """Return the requests so far that name a file, once the log has come this far."""
        self.client.get_bucket_location(Bucket=bucket)
        with self._logged:
            mark = f"GET /{bucket}?location"
            assert self._logged.wait_for(lambda: any(mark in line for line in self.requests), 20)
            return [line for line in self.requests if name in line]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()

    def staging(self, bucket: str, prefix: str = "") -> str:
        return f"s3://{bucket}{prefix}?endpoint_override={self.url}&region=us-east-1"

    def keys(self, bucket: str) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def rows(self, bucket: str) -> list[str]:
        return [key for key in self.keys(bucket) if key.endswith(".staged")]


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def store(_environment: None) -> Iterator[ObjectStore]:
    server = ObjectStore()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def bucket(store: ObjectStore, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"bucket-{abs(hash(request.node.name))}"
    store.client.create_bucket(Bucket=name)
    yield name
    close_sessions(name)


def close_sessions(bucket: str) -> None:
    for key, session in list(_sessions.items()):
        if bucket in str(key[1]):
            session.close()
            del _sessions[key]


@contextmanager
def apart(tmp_path: Path, n_workers: int = 2) -> Iterator[Client]:
    """A cluster of worker processes that each have a directory of their own."""
    workers = {
        number: {
            "cls": Nanny,
            "options": {
                "nthreads": 1,
                "memory_limit": "1GiB",
                "local_directory": str(tmp_path / f"worker-{number}"),
                "silence_logs": 50,
            },
        }
        for number in range(n_workers)
    }
    scheduler = {"cls": Scheduler, "options": {"dashboard_address": ":0", "dashboard": False}}
    with (
        SpecCluster(workers=workers, scheduler=scheduler, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client


def frames(rows: int = 20_000) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    left = pd.DataFrame({"k": rng.integers(0, 100, rows), "l": np.arange(rows)})
    left["s"] = ("name " + left["l"].astype(str)).where(left["l"] % 7 > 0)
    # Strings as dask has them.
    left = dd.from_pandas(left, npartitions=1).compute()
    return left, pd.DataFrame({"k": rng.integers(0, 100, 1000), "r": np.arange(1000)})


def merged(left: pd.DataFrame, right: pd.DataFrame, staging: str) -> dd.DataFrame:
    return safeframe.merge(
        dd.from_pandas(left, npartitions=6, sort=False),
        dd.from_pandas(right, npartitions=2, sort=False),
        on="k",
        strategy="staged",
        partition_size="512KiB",
        staging=staging,
    )


def assert_same(found: pd.DataFrame, left: pd.DataFrame, right: pd.DataFrame) -> None:
    order = ["l", "r"]
    expected = left.merge(right, on="k").sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(found.sort_values(order, ignore_index=True), expected)


def wait_until_gone(store: ObjectStore, bucket: str) -> None:
    # The server sends no event; the scheduler forgets a result soon after it is let go.
    deadline = time.monotonic() + 20
    while (left := store.rows(bucket)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


@pytest.mark.parametrize("prefix", ["", "/scratch/rows"])
def test_a_merge_equals_pandas_and_leaves_nothing(store, bucket, prefix, tmp_path):
    left, right = frames()
    staging = store.staging(bucket, prefix)
    with apart(tmp_path) as client:
        result = merged(left, right, staging)
        plan = safeframe.explain(result)
        staged = result.persist()
        wait(staged)
        assert_same(staged.compute(), left, right)
        assert any("PUT" in line for line in store.sent(bucket, ".staged"))
        directories = client.run(lambda dask_worker: dask_worker.local_directory)
        assert len({Path(path).parent for path in directories.values()}) == 2
        assert not list(tmp_path.rglob("*.staged"))
        del staged, result
        wait_until_gone(store, bucket)
    assert plan.strategy == "staged"
    assert plan.staging_free_nbytes is None
    assert SECRET not in plan.details() + str(plan.to_dict())
    close_sessions(bucket)
    # Arrow leaves the directory that the user named, as an object without content.
    assert store.keys(bucket) == ([] if not prefix else ["scratch/rows/"])


def test_another_exchange_through_the_environment_s_endpoint(store, bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
    left, _ = frames()
    with apart(tmp_path):
        ordered = safeframe.set_index(
            dd.from_pandas(left, npartitions=4, sort=False),
            "k",
            strategy="staged",
            staging=f"s3://{bucket}/sorted",
        )
        found = ordered.compute()
        del ordered
        wait_until_gone(store, bucket)
    expected = left.set_index("k").sort_index(kind="stable")
    assert found.index.is_monotonic_increasing
    pd.testing.assert_frame_equal(found, expected)


def test_arrays_and_bags(store, bucket, tmp_path):
    array = da.random.default_rng(0).random((200, 150), chunks=(200, 10))
    bag = db.from_sequence(range(3000), npartitions=6)
    staging = store.staging(bucket)
    with apart(tmp_path):
        rows = safeframe.rechunk(array, (20, -1), staging=staging)
        np.testing.assert_array_equal(rows.compute(), array.compute())
        groups = safeframe.bag_groupby(bag, lambda item: item % 5, npartitions=3, staging=staging)
        assert dict(groups.compute()) == {key: list(range(key, 3000, 5)) for key in range(5)}
        assert any("PUT" in line for line in store.sent(bucket, ".staged"))
        wait_until_gone(store, bucket)


def test_a_lost_worker_s_rows_are_staged_again(store, bucket, tmp_path):
    left, right = frames()
    with apart(tmp_path) as client:
        result = merged(left, right, store.staging(bucket)).persist()
        wait(result)
        process = psutil.Process(next(iter(client.run(os.getpid).values())))
        process.kill()
        process.wait()
        assert_same(result.compute(), left, right)
        del result
        wait_until_gone(store, bucket)


def test_a_process_that_ends_leaves_an_empty_bucket(store, bucket):
    script = (
        "import sys, pandas as pd, dask, dask.dataframe as dd, safeframe\n"
        "dask.config.set(scheduler='sync')\n"
        "left = dd.from_pandas(pd.DataFrame({'k': range(9)}), npartitions=2)\n"
        "merged = safeframe.merge(left, left, on='k', strategy='staged', staging=sys.argv[1])\n"
        "kept = merged.optimize().dask\n"
        "print(len(merged.compute()))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, store.staging(bucket)], check=True, capture_output=True, text=True
    )
    assert run.stdout.split() == ["9"]
    assert store.keys(bucket) == []


@pytest.mark.parametrize("wrong", ["bucket", "endpoint"])
def test_a_store_that_is_not_there_is_said_at_once(store, wrong):
    if wrong == "bucket":
        staging = store.staging("no-such-bucket", "/a")
    else:
        staging = "s3://bucket/a?endpoint_override=127.0.0.1:1&scheme=http&region=us-east-1"
    left, right = frames(100)
    with (
        dask.config.set(scheduler="sync"),
        pytest.raises(
            safeframe.StagingError, match=r"object store 's3://.*' cannot be used for staging: (.|\n)*Hint: "
        ) as info,
    ):
        merged(left, right, staging)
    assert isinstance(info.value.__cause__, OSError)
    words = "NO_SUCH_BUCKET" if wrong == "bucket" else "NETWORK_CONNECTION"
    assert words in str(info.value)
    assert SECRET not in str(info.value) + repr(info.value.__cause__)


def test_a_put_that_fails_halfway_leaves_nothing_under_its_name(store, bucket):
    base = staging_base(store.staging(bucket))
    files = remote_store(base)
    path = f"{base}/run/a.staged"

    def breaks():
        with files.create(path) as sink:
            sink.write(bytes(25 * 2**20))
            msg = "the rows end here"
            raise OSError(msg)

    with pytest.raises(OSError, match="the rows end here"):
        breaks()
    assert any("partNumber=1" in line for line in store.sent(bucket, "/run/a.staged"))
    assert store.rows(bucket) == []


def test_small_files_are_one_request_and_so_is_each_piece(store, bucket):
    base = staging_base(store.staging(bucket))
    files = remote_store(base)
    path = f"{base}/run/counted.staged"
    content = os.urandom(2 * 2**20)
    with files.create(path) as sink:
        sink.write(content)
    (_,) = files.read([(path, 0, 1)])  # the file's length is asked for once
    pieces = [(path, offset, 700_000) for offset in (1, 1_300_000, 3)]
    assert [piece.to_pybytes() for piece in files.read(pieces)] == [content[o : o + n] for _, o, n in pieces]
    files.remove_run(f"{base}/run")
    sent = store.sent(bucket, "counted.staged")
    kinds = ("PUT", "POST", "HEAD", "GET")
    assert [sum(f"{kind} /" in line for line in sent) for kind in kinds] == [1, 0, 1, 4]


@pytest.mark.parametrize("where", ["stage", "fetch"])
def test_a_store_that_goes_away_while_rows_are_staged(bucket, where, monkeypatch):
    other = ObjectStore()
    try:
        other.client.create_bucket(Bucket=bucket)
        left, right = frames(1000)
        with dask.config.set(scheduler="sync"):
            result = merged(left, right, other.staging(bucket))
            name = "create" if where == "stage" else "read"
            true = getattr(RemoteStore, name)

            def stops(self, *args):
                if other.process.poll() is None and (where == "fetch" or args[0].endswith(".staged")):
                    other.close()
                return true(self, *args)

            monkeypatch.setattr(RemoteStore, name, stops)
            words = "cannot be written" if where == "stage" else "cannot be read"
            with pytest.raises(safeframe.StagingError, match=rf"{words}: (.|\n)*Hint: ") as info:
                result.compute()
        assert isinstance(info.value.__cause__, OSError)
        assert SECRET not in str(info.value)
    finally:
        if other.process.poll() is None:
            other.close()


@pytest.mark.nightly
def test_the_user_s_own_files_stay(store, bucket):
    endpoint = store.url.removeprefix("http://")
    arrow = pafs.S3FileSystem(endpoint_override=endpoint, scheme="http", region="us-east-1")
    with arrow.open_output_stream(f"{bucket}/users/data") as sink:
        sink.write(b"the user's own")
    left, right = frames(1000)
    with dask.config.set(scheduler="sync"):
        assert_same(merged(left, right, store.staging(bucket)).compute(), left, right)
    close_sessions(bucket)
    assert store.keys(bucket) == ["users/data"]
