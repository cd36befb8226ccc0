"""What was learnt of frames stays in this process: a store of bounded bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from safeframe import options


class Store:
    """Values by name, the last ones that were asked for, in bounded bytes."""

    def __init__(self) -> None:
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, name: Hashable) -> Any:
        """Return what was kept under a name; None where there is nothing."""
        with self._lock:
            if name not in self._values:
                return None
            self._values.move_to_end(name)
            return self._values[name][0]

    def keep(self, name: Hashable, value: Any, nbytes: int) -> None:
        """Keep a value that takes so many bytes; what was not asked for the longest goes."""
        with self._lock:
            self._values.pop(name, None)
            self._values[name] = (value, nbytes)
            while self._values and sum(size for _, size in self._values.values()) > options.REMEMBERED_NBYTES:
                self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()


STORE = Store()
"""What this process remembers."""
