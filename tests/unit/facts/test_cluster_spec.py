"""The shape of a cluster to plan for: what it takes, and what it refuses."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import safeframe
from safeframe.facts.cluster import ClusterSpec


def test_sizes_are_texts_or_bytes():
    one = ClusterSpec(n_workers=4, threads=2, memory="1GiB", disk="10GiB")
    other = ClusterSpec(n_workers=np.int64(4), threads=2, memory=2**30, disk=10 * 2**30)
    assert one == other
    assert hash(one) == hash(other)
    assert (one.memory_nbytes, one.disk_nbytes) == (2**30, 10 * 2**30)
    assert pickle.loads(pickle.dumps(one)) == one
    assert safeframe.ClusterSpec is ClusterSpec


def test_threads_disk_and_hosts_can_be_left_out():
    spec = ClusterSpec(n_workers=3, memory="1GiB")
    assert (spec.threads, spec.disk_nbytes, spec.hosts, spec.workers_per_host) == (1, None, 1, 3)
    assert ClusterSpec(n_workers=5, memory="1GiB", hosts=2).workers_per_host == 3


def test_it_cannot_be_changed():
    with pytest.raises(AttributeError):
        ClusterSpec(n_workers=3, memory="1GiB").n_workers = 4


BAD = {
    "no workers": {"n_workers": 0},
    "half a worker": {"n_workers": 1.5},
    "true workers": {"n_workers": True},
    "negative threads": {"threads": -1},
    "threads in words": {"threads": "two"},
    "no memory": {"memory": 0},
    "unreadable memory": {"memory": "much"},
    "negative disk": {"disk": -1},
    "unreadable disk": {"disk": "10 floppies"},
    "more hosts than workers": {"hosts": 3},
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_cluster_is_refused(name):
    with pytest.raises(safeframe.ValidationError, match=rf"{next(iter(BAD[name]))}=(.|\n)*Hint: "):
        ClusterSpec(**{"n_workers": 2, "threads": 1, "memory": "1GiB", "disk": "1GiB", **BAD[name]})
