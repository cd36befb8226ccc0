"""Columns of Python objects in Arrow, and back as the very objects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given

from safeframe.errors import UnsupportedError
from safeframe.kernels.columns.object_columns import (
    objects_from_arrow,
    objects_to_arrow,
    same_form,
    unwritable_objects,
    written_objects,
)
from tests.property.objects import columns, identical


@given(columns)
def test_a_column_comes_back_as_it_was(series):
    for written in (objects_to_arrow, written_objects):
        assert identical(objects_from_arrow([written(series)]).tolist(), series.tolist())


@given(columns, columns)
def test_columns_of_several_kinds_are_staged_in_one_file(one, other):
    joined = pa.concat_arrays(same_form([objects_to_arrow(one), objects_to_arrow(other)]))
    back = objects_from_arrow([joined.slice(1), joined.slice(0, 1)])
    everything = one.tolist() + other.tolist()
    assert identical(back.tolist(), everything[1:] + everything[:1])


def test_strings_are_strings_of_arrow():
    assert objects_to_arrow(pd.Series(["a", None, ""], dtype=object)).type == pa.large_string()
    assert objects_to_arrow(pd.Series(["a", np.nan], dtype=object)).type == pa.large_binary()
    assert written_objects(pd.Series(["a", None], dtype=object)).type == pa.large_binary()


@pytest.mark.parametrize("value", [object(), {1: [object()]}, (Ellipsis,)])
def test_other_objects_are_refused_by_name(value):
    series = pd.Series([1, None, 2], dtype=object, name="mixed")
    assert not unwritable_objects(series, 100)
    series.iat[2] = value
    with pytest.raises(UnsupportedError, match=r"'mixed'.*holds (object|ellipsis).*cannot be staged"):
        objects_to_arrow(series)
    assert unwritable_objects(series, 100) in ("object", "ellipsis")


def test_a_list_that_holds_itself_is_refused():
    endless: list = []
    endless.append(endless)
    with pytest.raises(UnsupportedError, match="nested too deep"):
        objects_to_arrow(pd.Series([endless], dtype=object))
