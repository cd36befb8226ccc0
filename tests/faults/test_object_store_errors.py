"""An object store that answers with errors now and then: requests are sent again, whatever their size."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from safeframe.engine.storage.remote import remote_store
from safeframe.sizing.staging_url import staging_base
from tests.faults.machine.stores import ObjectStore

CONTENT = bytes(range(250))


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    before = dict(os.environ)
    made = ObjectStore()
    yield made
    made.close()
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.mark.parametrize("in_a_row", [1, 2])
@pytest.mark.parametrize("how", ["error", "throttle", "drop"])
def test_a_few_errors_are_not_seen(store, how, in_a_row):
    base = staging_base(store.staging(f"{how}-{in_a_row}"))
    files, path = remote_store(base), f"{base}/run/a.staged"
    store.harm(how, 100, in_a_row)
    with files.create(path) as sink:
        sink.write(CONTENT)
    # Fewer bytes than the text of an error has, which Arrow has no room for then.
    found = list(files.read([(path, 0, 5), (path, 100, 150)]))
    store.heal()
    assert [one.to_pybytes() for one in found] == [CONTENT[:5], CONTENT[100:]]
    files.remove_run(f"{base}/run")


def test_errors_for_good_are_an_error(store):
    base = staging_base(store.staging("gone"))
    files, path = remote_store(base), f"{base}/run/a.staged"
    with files.create(path) as sink:
        sink.write(CONTENT)
    store.harm("throttle", 100, 100)
    with pytest.raises(OSError, match="AWS Error"):
        list(files.read([(path, 0, 5)]))
    store.heal()
    files.remove_run(f"{base}/run")
