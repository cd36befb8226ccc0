"""The store of URLs, on file systems of fsspec and of Arrow that need no server."""

from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import dask
import dask.dataframe as dd
import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.fs as pafs
import pytest

import safeframe
from safeframe import options
from safeframe.engine.storage import remote as module
from safeframe.engine.storage.janitor import StagingJanitor
from safeframe.engine.storage.remote import ARROW_SCHEMES, RemoteStore, remote_store
from safeframe.engine.storage.remote_sessions import RemoteSession
from safeframe.errors import StagingError

CONTENT = bytes(range(256)) * 64


@pytest.fixture(params=["memory", "file"])
def base(request, tmp_path):
    """A URL of a file system of fsspec's, and of one of Arrow's."""
    if request.param == "file":
        yield f"file://{tmp_path}"
        return
    name = uuid.uuid4().hex
    yield f"memory://{name}/below"
    memory = fsspec.filesystem("memory")
    if memory.exists(f"/{name}"):
        memory.rm(f"/{name}", recursive=True)


def put(store: RemoteStore, path: str, content: bytes = CONTENT) -> None:
    with store.create(path) as sink:
        sink.write(content)


def read(store: RemoteStore, pieces: list[tuple[str, int, int]]) -> list[bytes]:
    return [piece.to_pybytes() for piece in store.read(pieces)]


def everything(store: RemoteStore, base: str) -> list[str]:
    selector = pafs.FileSelector(store._path(base), recursive=True, allow_not_found=True)
    return [info.path for info in store._fs.get_file_info(selector)]


def test_pieces_come_back_in_the_order_requested(base):
    store = remote_store(base)
    put(store, f"{base}/run/a")
    put(store, f"{base}/run/b", CONTENT[::-1])
    pieces = [("b", 5, 7), ("a", 0, 3), ("a", 3, 4), ("a", 2, 9), ("b", 0, 0), ("a", 9000, 20), ("a", 0, 1)]
    found = read(store, [(f"{base}/run/{name}", offset, nbytes) for name, offset, nbytes in pieces])
    source = {"a": CONTENT, "b": CONTENT[::-1]}
    assert found == [source[name][offset : offset + nbytes] for name, offset, nbytes in pieces]


def test_a_write_that_fails_leaves_nothing_and_its_error_passes(base):
    store = remote_store(base)

    def half() -> None:
        with store.create(f"{base}/run/a") as sink:
            sink.write(CONTENT)
            msg = "halfway"
            raise MemoryError(msg)

    with pytest.raises(MemoryError, match="halfway"):
        half()
    assert not [path for path in everything(store, base) if path.endswith("/a")]


def test_a_piece_beyond_the_end_is_an_error_and_not_foreign_memory(base):
    store = remote_store(base)
    put(store, f"{base}/run/a")
    with pytest.raises(OSError, match=r"ends after 16384 bytes, and 16390 were written"):
        read(store, [(f"{base}/run/a", 16380, 10)])
    with pytest.raises(OSError, match=r"."):
        read(store, [(f"{base}/run/none", 0, 10)])


def test_a_run_goes_with_the_last_of_its_files(base):
    store = remote_store(base)
    put(store, f"{base}/run/a")
    put(store, f"{base}/run/b")
    put(store, f"{base}/other/c")
    store.remove_file(f"{base}/run/a")
    assert read(store, [(f"{base}/run/b", 0, 2)]) == [CONTENT[:2]]
    store.remove_file(f"{base}/run/b")
    assert {Path(path).name for path in everything(store, base)} == {"other", "c"}
    store.remove_file(f"{base}/run/b")
    store.remove_run(f"{base}/other")
    store.remove_run(f"{base}/other")
    assert everything(store, base) == []


def test_neighbours_are_one_request():
    gap, most = options.STORE_GAP_NBYTES, options.STORE_REQUEST_NBYTES
    pieces = [
        ("a", 0, 10),
        ("a", 10, 10),
        ("a", 20 + gap, 10),
        ("a", 31 + 2 * gap, 10),  # too far
        ("b", 0, 10),
        ("b", 10, most),  # too large together
        ("b", 0, 5),  # before: of the same file, and far
    ]
    found = [(r.path, r.start, r.end, len(r.pieces)) for r in module._requests(pieces)]
    assert found == [
        ("a", 0, 30 + gap, 3),
        ("a", 31 + 2 * gap, 41 + 2 * gap, 1),
        ("b", 0, 10, 1),
        ("b", 10, 10 + most, 1),
        ("b", 0, 5, 1),
    ]
    assert list(module._requests([])) == []


@pytest.fixture
def scripted(monkeypatch, tmp_path):
    """A store whose reads are counted, and may wait for one another."""
    store = RemoteStore("local:///")
    asked: list[str] = []
    waits: dict[str, threading.Event] = {}

    def fake(request):
        asked.append(request.path)
        if request.path in waits:
            assert waits[request.path].wait(30)
        return pa.py_buffer(request.path.encode().ljust(request.end - request.start))

    monkeypatch.setattr(store, "_read", fake)
    return store, asked, waits


def test_requests_overlap_and_answers_keep_their_order(scripted, monkeypatch):
    store, _, waits = scripted
    last = threading.Event()
    waits["0"] = last
    reading = store._read

    def fake(request):
        if request.path == "3":
            last.set()  # the first answers only after the last was asked for
        return reading(request)

    monkeypatch.setattr(store, "_read", fake)
    assert read(store, [(str(i), 0, 1) for i in range(4)]) == [b"0", b"1", b"2", b"3"]


def test_no_more_is_requested_than_may_be_held(scripted, monkeypatch):
    store, asked, _ = scripted
    monkeypatch.setattr(options, "STORE_READ_AHEAD_NBYTES", 100)
    pieces = store.read([(f"{i:02}", 0, 40) for i in range(20)])
    next(pieces)
    # Two of 40 bytes in 100; the third is asked for when the first has been given out.
    assert len(asked) <= 2
    next(pieces)
    assert len(asked) <= 3
    pieces.close()
    larger = store.read([("large", 0, 1000), ("next", 0, 10)])
    assert next(larger).size == 1000
    larger.close()


def test_a_url_that_no_library_knows():
    with pytest.raises(
        StagingError, match=r"No installed library reads and writes nowhere:// (.|\n)*Hint: Inst"
    ):
        remote_store("nowhere://bucket/a")


@pytest.mark.parametrize("scheme", [*sorted(ARROW_SCHEMES), "az", "http", "memory", "nowhere"])
def test_arrow_knows_these_urls_and_no_others(scheme):
    try:
        pafs.FileSystem.from_uri(f"{scheme}://?no=such&option=1")
    except pa.ArrowNotImplementedError:
        known = True
    except (pa.ArrowInvalid, OSError) as error:
        known = "nrecognized filesystem type" not in str(error)
    else:
        known = True
    assert known == (scheme in ARROW_SCHEMES)


def test_a_package_that_is_absent(monkeypatch):
    def absent(*args: object, **kwargs: object) -> None:
        msg = "Install somefs to access Some"
        raise ImportError(msg)

    monkeypatch.setattr("fsspec.core.url_to_fs", absent)
    with pytest.raises(StagingError, match=r"Install somefs to access Some(.|\n)*every worker") as info:
        remote_store("some://bucket/a")
    assert isinstance(info.value.__cause__, ImportError)


def test_an_option_that_arrow_does_not_know():
    with pytest.raises(StagingError, match=r"Unexpected query parameter .*'regoin'"):
        remote_store("s3://bucket/a?regoin=eu")


def test_s3_holds_one_part_of_an_upload():
    store = RemoteStore("s3://bucket/?endpoint_override=127.0.0.1:1&scheme=http&region=us-east-1")
    settings = store._fs.__reduce__()[1][0]
    assert settings["background_writes"] is False
    assert settings["endpoint_override"] == "127.0.0.1:1"


def test_a_foreign_error_becomes_an_os_error(monkeypatch):
    store = RemoteStore("memory:///")

    class OddError(Exception):
        pass

    def odd(*args: object, **kwargs: object) -> None:
        msg = "odd"
        raise OddError(msg)

    monkeypatch.setattr(store._foreign, "cat_file", odd)
    with pytest.raises(OSError, match="odd") as info:
        read(store, [("memory:///a", 0, 1)])
    assert isinstance(info.value.__cause__, OddError)


def test_a_session_signs_and_goes(base):
    session = RemoteSession(base, "me or you")
    store = remote_store(base)
    owner = json.loads(store.content(f"{session.directory}/owner"))
    assert owner["pid"] == os.getpid()
    assert "/safeframe-me_or_you-" in session.directory
    put(store, f"{session.run_directory('run')}/a")
    session.close()
    assert everything(store, base) == []


def test_the_next_session_removes_those_of_dead_processes_and_no_others(tmp_path):
    base = f"local://{tmp_path}"
    script = (
        "import os, sys; from safeframe.engine.storage.remote_sessions import RemoteSession; "
        "from safeframe.engine.storage.remote import remote_store; "
        "session = RemoteSession(sys.argv[1], 'me'); "
        "sink = remote_store(sys.argv[1]).create(session.directory + '/run/a'); "
        "sink.__enter__().write(b'x'); sink.__exit__(None, None, None); "
        "print(session.directory, flush=True); os._exit(1)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, base], check=False, env=os.environ, capture_output=True, text=True
    )
    dead = Path(run.stdout.strip().removeprefix("local://"))
    assert (dead / "run" / "a").exists(), run.stderr
    elsewhere = tmp_path / dead.name.replace("-", "-0", 2)
    elsewhere.mkdir()
    users = tmp_path / "99999999-data"
    users.mkdir()
    living = RemoteSession(base, "me")
    assert not dead.exists()
    # The same process number, and another process: its start is not the one that signed.
    again = Path(living.directory.removeprefix("local://"))
    other = again.with_name(f"{again.name}0")
    other.mkdir()
    (other / "owner").write_text(json.dumps({"pid": os.getpid(), "started": "1"}))
    third = RemoteSession(base, "me")
    assert again.exists()
    assert not other.exists()
    assert elsewhere.exists()
    third.close()
    living.close()
    assert sorted(tmp_path.iterdir()) == sorted([elsewhere, users])


def test_a_store_that_takes_rows_and_gives_others_back(monkeypatch, tmp_path):
    monkeypatch.setattr(
        RemoteStore, "_read", lambda self, request: pa.py_buffer(bytes(request.end - request.start))
    )
    with pytest.raises(StagingError, match="what was written is not what is read"):
        RemoteSession(f"local://{tmp_path}", "me")
    assert list(tmp_path.iterdir()) == []


def test_a_scheduler_that_cannot_reach_the_store_tries_once(monkeypatch, caplog):
    caplog.set_level(logging.WARNING)  # a cluster that silences its logs silences pytest's handler too
    janitor = StagingJanitor("local:///nowhere/session")
    tries = []

    def fails(self, directory):
        tries.append(directory)
        msg = "no route"
        raise OSError(msg)

    monkeypatch.setattr(RemoteStore, "delete", fails)
    for token in ("a" * 32, "b" * 32):
        janitor.transition(f"merge-seal-{token}", "memory", "released")
    assert tries == [f"local:///nowhere/session/merge-{'a' * 32}"]
    assert "cannot remove staged rows from local:///nowhere/session: no route" in caplog.text


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_a_merge_through_a_url_equals_pandas_and_leaves_nothing(kind, tmp_path):
    url = f"memory://{uuid.uuid4().hex}/below" if kind == "memory" else f"local://{tmp_path}"
    left = pd.DataFrame({"k": [1, 2, 2, 3, 5] * 40, "l": range(200)})
    right = pd.DataFrame({"k": [1, 2, 3, 4] * 5, "r": range(20)})
    with dask.config.set(scheduler="sync"):
        merged = safeframe.merge(
            dd.from_pandas(left, npartitions=4, sort=False),
            dd.from_pandas(right, npartitions=2, sort=False),
            on="k",
            how="outer",
            strategy="staged",
            staging=url,
        )
        plan = safeframe.explain(merged)
        found = merged.compute()
    assert plan.fits
    assert plan.staging_free_nbytes is None
    assert "whose free space is not known" in plan.details()
    order = ["k", "l", "r"]
    expected = left.merge(right, on="k", how="outer").sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(found.sort_values(order, ignore_index=True), expected)
    gc.collect()
    assert not [path for path in everything(remote_store(url), url) if path.endswith(".staged")]
