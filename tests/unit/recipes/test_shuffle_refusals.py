"""What a shuffle refuses before it reads any key."""

from __future__ import annotations

import dask.dataframe as dd
import pandas as pd
import pytest

import safeframe
from safeframe.errors import ValidationError
from safeframe.facts.budget import StagingFacts
from safeframe.prepare.sort import shuffle


def unread(frame):
    pytest.fail("the frame was read")


@pytest.fixture
def frame():
    data = pd.DataFrame({"k": [1, 2, 1, 2], "v": [5, 6, 7, 8]})
    return dd.from_pandas(data, npartitions=2).map_partitions(unread, meta=data)


@pytest.mark.parametrize("recipe", ["shuffle", "plan_shuffle"])
def test_staging_without_a_place(frame, monkeypatch, recipe):
    nowhere = StagingFacts(directory=None, free_nbytes=None, unavailable="the workers share nothing")
    monkeypatch.setattr(shuffle, "staging_facts", lambda _: nowhere)
    with pytest.raises(ValidationError, match="the workers share nothing") as error:
        getattr(safeframe, recipe)(frame, "k", strategy="staged")
    assert "staging=" in error.value.hint


@pytest.mark.parametrize("recipe", ["shuffle", "p2p_shuffle"])
def test_a_size_that_is_none(frame, recipe):
    with pytest.raises(ValidationError, match="5 parsecs"):
        getattr(safeframe, recipe)(frame, "k", partition_size="5 parsecs")
