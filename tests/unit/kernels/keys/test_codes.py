"""Codes of keys: order, equality across types, nulls, and partitions that are not what was promised."""

from __future__ import annotations

import datetime
import decimal
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from safeframe.errors import SchemaMismatchError, UnsupportedError
from safeframe.facts.keys import KeyColumn, KeySchema
from safeframe.kernels.keys.codes import decode_codes, encode_keys


def one(kind, **options):
    return KeySchema(columns=(KeyColumn(kind=kind, **options),))


ORDERED = {
    "int": (one("int"), pd.Series([-(2**63), -1, 0, 2**53 + 1, 2**63 - 1])),
    "uint": (one("uint"), pd.Series([0, 1, 2**63, 2**64 - 1], dtype="uint64")),
    "float": (one("float"), pd.Series([-np.inf, -1.5, -5e-324, 0.0, 5e-324, 2.0, np.inf])),
    "bool": (one("bool"), pd.Series([False, True])),
    "datetime": (
        one("datetime", unit="ns"),
        pd.Series(np.array(["1900-01-01", "1969-12-31", "2024-01-01T00:00:00.000000001"], "datetime64[ns]")),
    ),
    "datetime tz": (
        one("datetime", unit="ns", tz_aware=True),
        pd.Series(pd.to_datetime(["2024-10-27 00:30", "2024-10-27 01:30"], utc=True)).dt.tz_convert(
            "Europe/Berlin"
        ),
    ),
    "timedelta": (one("timedelta", unit="us"), pd.Series(pd.to_timedelta([-5, 0, 7], unit="us"))),
}


@pytest.mark.parametrize("name", sorted(ORDERED))
def test_codes_keep_the_order_and_come_back(name):
    schema, values = ORDERED[name]
    codes, null = encode_keys([values], schema)
    assert null is None
    assert codes.dtype == np.uint64
    assert (codes[1:] > codes[:-1]).all()
    assert decode_codes(codes, schema) == values.tolist()


def test_minus_zero_is_zero_and_every_nan_is_null():
    other_nan = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    codes, null = encode_keys([pd.Series([-0.0, 0.0, np.nan, other_nan])], one("float"))
    assert codes[0] == codes[1]
    assert null.tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    "dtype", ["int8", "int64", "Int64", "uint16", pd.ArrowDtype(pa.int32()), "category", "object", "float64"]
)
def test_an_integer_has_one_code_in_every_type(dtype):
    expected, _ = encode_keys([pd.Series([3, 1, 2])], one("int"))
    codes, null = encode_keys([pd.Series([3, 1, 2]).astype(dtype)], one("int"))
    np.testing.assert_array_equal(codes, expected)
    assert null is None


@pytest.mark.parametrize("dtype", ["Int64", "float64", "object", pd.ArrowDtype(pa.int64())])
def test_a_partition_of_integers_may_have_nulls_that_its_frame_does_not_promise(dtype):
    series = pd.Series([1, None, 3], dtype="Int64").astype(dtype)
    codes, null = encode_keys([series], one("int"))
    assert null.tolist() == [False, True, False]
    assert decode_codes(codes[~null], one("int")) == [1, 3]


@pytest.mark.parametrize(
    "schema",
    [
        one("int"),
        one("float"),
        one("bool"),
        one("datetime", unit="ns"),
        one("string"),
        one("timedelta", unit="s"),
    ],
)
@pytest.mark.parametrize("dtype", ["object", "float64"])
def test_a_partition_of_nulls_alone_may_have_any_type(schema, dtype):
    codes, null = encode_keys([pd.Series([None, None], dtype=dtype)], schema)
    assert len(codes) == 2
    assert null.all()


@pytest.mark.parametrize("schema", [one("int"), one("float"), one("string"), one("number"), one("object")])
def test_an_empty_partition_has_no_codes(schema):
    codes, null = encode_keys([pd.Series([], dtype="object")], schema)
    assert len(codes) == 0
    assert null is None or len(null) == 0


@pytest.mark.parametrize("values", [["x"], [1.5]])
def test_a_partition_of_another_type_is_refused(values):
    with pytest.raises(SchemaMismatchError, match=r"'k' is .* in one partition, but int in its frame"):
        encode_keys([pd.Series(values, name="k")], one("int"))


def test_a_number_is_one_key_as_integer_and_as_float():
    whole, _ = encode_keys([pd.Series([2**53, 2**53 + 1, 0, -7])], one("number"))
    floats, null = encode_keys([pd.Series([2.0**53, 0.5, -0.0, -7.0, np.nan, np.inf, 1e300])], one("number"))
    assert floats[0] == whole[0]
    assert floats[0] != whole[1]
    assert floats[2] == whole[2]
    assert floats[3] == whole[3]
    assert null.tolist() == [False] * 4 + [True, False, False]
    assert len(set(floats[~null].tolist())) == 6


def test_objects_that_python_holds_equal_have_one_code():
    equal = [1, 1.0, True, decimal.Decimal(1), np.int8(1)]
    codes = [encode_keys([pd.Series([value], dtype=object)], one("object"))[0][0] for value in equal]
    assert len(set(codes)) == 1
    different = ["1", (1,), datetime.date(2024, 1, 1), 2, b"1"]
    mixed, null = encode_keys([pd.Series([*different, None], dtype=object)], one("object"))
    assert null.tolist() == [False] * 5 + [True]
    assert len({*mixed[:5].tolist(), codes[0]}) == 6


def test_strings_next_to_other_objects_have_the_code_of_strings():
    mixed, _ = encode_keys([pd.Series(["a", 1], dtype=object)], one("string"))
    words, _ = encode_keys([pd.Series(["a", "b"], dtype="string[pyarrow]")], one("string"))
    assert mixed[0] == words[0]


def test_what_cannot_be_a_key_is_refused():
    with pytest.raises(UnsupportedError, match="cannot be compared as keys"):
        encode_keys([pd.Series([[1], [2]], dtype=object)], one("object"))


def test_times_that_the_common_unit_cannot_hold_are_refused():
    far = pd.Series(np.array(["3000-01-01"], "datetime64[s]"))
    with pytest.raises(SchemaMismatchError):
        encode_keys([far], one("datetime", unit="ns"))


def test_a_null_is_a_value_in_a_key_of_several_columns():
    schema = KeySchema(columns=(KeyColumn(kind="int"), KeyColumn(kind="string")))
    columns = [pd.Series([1, 1, None], dtype="Int64"), pd.Series([None, "a", None], dtype="string[pyarrow]")]
    codes, null = encode_keys(columns, schema)
    assert null is None
    assert len(set(codes.tolist())) == 3
    swapped, _ = encode_keys(
        [pd.Series([2, 1]), pd.Series([1, 2])], KeySchema(columns=(KeyColumn(kind="int"),) * 2)
    )
    assert swapped[0] != swapped[1]


HASHED = (("string", ["a", "ü"]), ("object", ["a", (1, "b"), 2.5]))


def test_hashes_are_the_same_in_every_process():
    program = f"""
import pandas as pd
from safeframe.facts.keys import KeyColumn
from safeframe.facts.keys import KeySchema
from safeframe.kernels.keys.codes import encode_keys
for kind, values in {HASHED!r}:
    print(encode_keys([pd.Series(values, dtype=object)], KeySchema(columns=(KeyColumn(kind=kind),)))[0].tolist())
"""
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True,
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
    ).stdout  # fmt: skip
    own = [
        encode_keys([pd.Series(values, dtype=object)], KeySchema(columns=(KeyColumn(kind=kind),)))[0].tolist()
        for kind, values in HASHED
    ]
    assert found.splitlines() == [str(codes) for codes in own]


GOLDEN = {
    "string": (pd.Series(["", "a", "a\0", "0123456789abcdef", "ü" * 100]), "string"),
    "binary": (pd.Series([b"", b"a", b"\xff" * 64, b"\xff" * 65]), "object"),
    "decimal": (pd.Series([decimal.Decimal("-1.50"), decimal.Decimal(10) ** 30]), "object"),
    "date": (pd.Series([datetime.date(1969, 12, 31), datetime.date(2024, 2, 29)]), "object"),
    "time": (pd.Series([datetime.time(0), datetime.time(23, 59, 59, 999999)]), "object"),
    "number": (pd.Series([1, 2**53]), "number"),
    "objects": (pd.Series([1.5, "a", (1, "b"), None, b"a"], dtype=object), "object"),
}


GOLDEN_CODES = {
    "string": [
        "0000000000000000",
        "496cbc1c272a78bc",
        "cc9e7ee4abb79730",
        "f2abd5e8c541a8a4",
        "f6c7e10f39b7bd95",
    ],
    "binary": ["2545f4914f6cdd1d", "6c29488d6846a5a1", "0e954da114cc6f5c", "0446d159a1aed9e2"],
    "decimal": ["7839a5eb15574ee9", "bf212084ad7b6bc2"],
    "date": ["963333052da7f39f", "fd96c64e3cdf8dcb"],
    "time": ["9a7c87362523bcd0", "87b2b25622ef6b0a"],
    "number": ["910a2dec89025cc1", "cec3603a0c3ea1cf"],
    "objects": ["45b8c0af80bbcc0f", "496cbc1c272a78bc", "9978dc13edad2084", "6c29488d6846a5a1"],
}


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_hashes_are_the_same_in_every_version(name):
    values, kind = GOLDEN[name]
    codes, null = encode_keys([values], one(kind))
    found = codes if null is None else codes[~null]
    assert [f"{code:016x}" for code in found.tolist()] == GOLDEN_CODES[name]
