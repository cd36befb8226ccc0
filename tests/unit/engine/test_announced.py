from __future__ import annotations

import logging

import dask.dataframe as dd
import pandas as pd

import safeframe


def test_a_plan_that_begins_is_logged_with_what_it_did_not_take(caplog):
    frame = dd.from_pandas(pd.DataFrame({"k": [3, 1, 2]}), npartitions=2, sort=False)
    result = safeframe.sort_values(frame, "k")
    with caplog.at_level(logging.DEBUG, logger="safeframe"):
        result.compute(scheduler="sync")
    levels = {
        record.levelname: record.getMessage()
        for record in caplog.records
        if record.name.startswith("safeframe")
    }
    assert levels["INFO"].startswith("sort_values begins by strategy ")
    assert "3 rows, a worker's peak is projected at" in levels["INFO"]
    assert "was rejected: " in levels["DEBUG"]
