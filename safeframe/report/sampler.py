"""Watches the resident memory of one process, from inside it.

Covers: the highest value, and a curve of at most some thousand points.

Where the kernel keeps a high-water mark that can be set back (Linux: ``VmHWM`` of
``/proc/self/status`` and ``/proc/self/clear_refs``) the peak is the kernel's, so
that no spike falls between two samples, also while a task holds the interpreter.
Elsewhere it is the highest sample.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psutil

INTERVAL_SECONDS = 0.05
"""Time between two samples: one takes some 20 µs, so that a run is not slowed."""

MAX_SAMPLES = 4096
"""Points of a curve; beyond it neighbours are joined, so that long runs take no memory."""

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_HIGH_WATER = "5"

_active: list[Sampler] = []
_active_lock = threading.RLock()


class Sampler:
    """Samples this process until it is stopped.

    Parameters
    ----------
    interval_seconds
        Time between two samples.

    Examples
    --------
    >>> sampler = Sampler()
    >>> sampler.start()
    >>> held = bytearray(8 * 2**20)
    >>> sampler.stop()
    >>> sampler.peak_nbytes > len(held)
    True
    """

    def __init__(self, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self.interval_seconds = interval_seconds
        self.peak_nbytes = 0
        """Highest resident memory seen, in bytes."""
        self.samples: list[tuple[float, int]] = []
        """Seconds since the epoch, and resident bytes; of joined neighbours the higher."""
        self._process = psutil.Process()
        self._every = 1
        self._bucket: list[tuple[float, int]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="safeframe-sampler", daemon=True)

    def start(self) -> None:
        """Begin to sample; the peak counts from here."""
        with _active_lock:
            # The mark is one for the process: what others have seen is kept before it is set back.
            for other in _active:
                other._take_high_water()
            self._has_high_water = _reset_high_water()
            _active.append(self)
        self._sample()
        self._thread.start()

    def stop(self) -> None:
        """End sampling; doing it twice does no harm."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._thread.join()
        self._sample()
        with _active_lock:
            self._take_high_water()
            _active.remove(self)
        if self._bucket:
            self._flush()

    def _run(self) -> None:
        while not self._stopped.wait(self.interval_seconds):
            self._sample()

    def _sample(self) -> None:
        resident = int(self._process.memory_info().rss)
        self.peak_nbytes = max(self.peak_nbytes, resident)
        self._bucket.append((time.time(), resident))
        if len(self._bucket) >= self._every:
            self._flush()

    def _flush(self) -> None:
        self.samples.append(max(self._bucket, key=_resident))
        self._bucket = []
        if len(self.samples) >= MAX_SAMPLES:
            pairs = zip(self.samples[::2], self.samples[1::2], strict=True)
            self.samples = [max(pair, key=_resident) for pair in pairs]
            self._every *= 2

    def _take_high_water(self) -> None:
        if self._has_high_water:
            self.peak_nbytes = max(self.peak_nbytes, _high_water_nbytes())


def _resident(sample: tuple[float, int]) -> int:
    return sample[1]


def _reset_high_water() -> bool:
    try:
        _CLEAR_REFS.write_text(_RESET_HIGH_WATER)
    except OSError:
        return False
    return _high_water_nbytes() > 0


def _high_water_nbytes() -> int:
    try:
        status = _STATUS.read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
