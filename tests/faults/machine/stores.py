"""What can go wrong with an object store: a proxy before it answers with errors, late, or not at all.

Covers: the proxy, the store behind it (moto), faults of stores.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import boto3
import dask.dataframe as dd
import pyarrow.fs as pafs

from tests.faults.machine.faults import Fault
from tests.faults.machine.recipes import Recipe

__all__ = ["STORE_FAULTS", "ObjectStore"]

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    # Nothing of this may leave the machine.
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_SLOW_DOWN = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>'
_INTERNAL = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>InternalError</Code><Message>Try again.</Message></Error>'


class ObjectStore:
    """moto's server in a process of its own, and a proxy before it in this one.

    Parameters
    ----------
    host
        The address under which both are reached.
    """

    bucket = "machine"

    def __init__(self, host: str = "127.0.0.1") -> None:
        os.environ.update(ENVIRONMENT | {"NO_PROXY": host})
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "moto.server", "-H", host, "-p", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "Running on " in line:
                self.address = line.rpartition("Running on http://")[2].split()[0].rstrip("/")
                break
        # What it logs has to go somewhere.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.client = boto3.client("s3", endpoint_url=f"http://{self.address}")
        self.client.create_bucket(Bucket=self.bucket)
        self.proxy = ThreadingHTTPServer((host, 0), _Handler)
        self.proxy.daemon_threads = True
        self.proxy.store = self  # type: ignore[attr-defined]
        threading.Thread(target=self.proxy.serve_forever, daemon=True).start()
        self._lock = threading.Lock()
        self.heal()

    def heal(self) -> None:
        """Let every request pass."""
        self.how, self._left, self._seen = "", 0, {}

    def harm(self, how: str, requests: int, in_a_row: int) -> None:
        """Answer some of the next requests otherwise.

        Parameters
        ----------
        how
            ``error``, ``throttle``, ``drop`` or ``delay``.
        requests
            How many requests.
        in_a_row
            How often the same one.
        """
        self.how, self._left, self._in_a_row, self._seen = how, requests, in_a_row, {}

    def harms(self, request: str) -> str:
        """Return how a request is to be answered; empty for as it should be."""
        with self._lock:
            if not self._left or self._seen.get(request, 0) >= self._in_a_row:
                return ""
            self._left -= 1
            self._seen[request] = self._seen.get(request, 0) + 1
            return self.how

    def staging(self, prefix: str) -> str:
        """Return a URL to stage in."""
        host, port = self.proxy.server_address[:2]
        return f"s3://{self.bucket}/{prefix}?endpoint_override=http://{host}:{port}&region=us-east-1"

    def upload(self, directory: Path, prefix: str) -> None:
        """Copy the parquet files below a directory."""
        for path in directory.rglob("*.parquet"):
            name = f"{prefix}/{path.relative_to(directory)}"
            self.client.put_object(Bucket=self.bucket, Key=name, Body=path.read_bytes())

    def read(self, prefix: str) -> tuple[dd.DataFrame, dd.DataFrame]:
        """Return both datasets of a trial, as they are read from here."""
        host, port = self.proxy.server_address[:2]
        there = pafs.S3FileSystem(endpoint_override=f"{host}:{port}", scheme="http", region="us-east-1")
        left, right = (
            dd.read_parquet(f"{self.bucket}/{prefix}/{side}", filesystem=there) for side in ("left", "right")
        )
        return left, right

    def keys(self, prefix: str) -> list[str]:
        """Return the names of the objects under a prefix."""
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [one["Key"] for one in found.get("Contents", [])]

    def close(self) -> None:
        """End both."""
        self.proxy.shutdown()
        self.proxy.server_close()
        self.process.terminate()
        self.process.wait()


class _Handler(BaseHTTPRequestHandler):
    """Passes requests on."""

    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True  # who asked has gone

    def _pass(self) -> None:
        store: ObjectStore = self.server.store  # type: ignore[attr-defined]
        body = self._body()
        how = store.harms(f"{self.command} {self.path} {self.headers.get('Range')}")
        if how == "drop":
            self.close_connection = True
            return
        if how in ("error", "throttle"):
            self._answer(500 if how == "error" else 503, {}, _INTERNAL if how == "error" else _SLOW_DOWN)
            return
        if how == "delay":
            time.sleep(0.3)  # the fault itself
        onward = http.client.HTTPConnection(store.address, timeout=30)
        try:
            kept = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in ("expect", "transfer-encoding", "content-length")
            }
            onward.request(self.command, self.path, body, kept)
            answer = onward.getresponse()
            self._answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            onward.close()

    def _body(self) -> bytes:
        """Read what was sent, in chunks where it was sent so."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        length = next((value for name, value in headers.items() if name.lower() == "content-length"), None)
        # That of a HEAD is of what would have come.
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815

    def log_message(self, *arguments: Any) -> None:
        """Log nothing."""


class _OfStore(Fault):
    must_succeed = True
    phases = ("stage", "seal", "fetch", "write")
    store = True
    how: ClassVar[str]

    @staticmethod
    def applies(recipe: Recipe) -> bool:
        return recipe.staged

    def strike(self, worker: str) -> None:
        # Arrow tries a request three times.
        self.scene.store.harm(self.how, int(self.rng.integers(1, 10)), int(self.rng.integers(1, 3)))

    def repair(self) -> None:
        self.scene.store.heal()


class StoreErrors(_OfStore):
    """Internal errors."""

    name = "the object store answers 500, a few times"
    how = "error"


class StoreThrottles(_OfStore):
    """Requests to slow down."""

    name = "the object store throttles, a few times"
    how = "throttle"


class StoreDelays(_OfStore):
    """Late answers."""

    name = "the object store answers late"
    how = "delay"


class StoreDrops(_OfStore):
    """Connections that end without an answer."""

    name = "the object store drops connections, a few times"
    how = "drop"
    must_succeed = False
    allowed_errors = ("StagingError",)


class StoreGone(_OfStore):
    """No answer but errors from a moment on."""

    name = "the object store fails for good"
    wears = True
    must_succeed = False
    allowed_errors = ("StagingError",)

    def strike(self, worker: str) -> None:
        self.scene.store.harm("error", 1_000_000, 1_000_000)


class _OfSource(_OfStore):
    """The datasets are in the store, and rows are staged on a disk."""

    store = False
    source = True
    phases = ("statistics", "stage", "fetch", "write")

    @staticmethod
    def applies(recipe: Recipe) -> bool:
        return recipe.reads


class SourceErrors(_OfSource):
    """Internal errors, where the input is read."""

    name = "reads of the input answer 500, a few times"
    how = "error"


class SourceThrottles(_OfSource):
    """Requests to slow down, where the input is read."""

    name = "reads of the input are throttled, a few times"
    how = "throttle"


class SourceDelays(_OfSource):
    """Late answers, where the input is read."""

    name = "reads of the input answer late"
    how = "delay"


class SourceGone(_OfSource):
    """No answer but errors from a moment on, where the input is read."""

    name = "reads of the input fail for good"
    wears = True
    must_succeed = False
    # That of the reader.
    allowed_errors = ("SafeframeError", "OSError")

    def strike(self, worker: str) -> None:
        self.scene.store.harm("error", 1_000_000, 1_000_000)


STORE_FAULTS: tuple[type[Fault], ...] = (
    StoreErrors, StoreThrottles, StoreDelays, StoreDrops, StoreGone, SourceErrors, SourceThrottles, SourceDelays,
    SourceGone,
)  # fmt: skip
