"""A join written by hand in pyarrow, as dictionaries and codes: what its writer reaches on one core.

Covers: the rows of a left join whose keys all match, key by key.
Does not cover: data larger than memory: both sides are held whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.engines import Request
    from benchmarks.situations import Dataset

__all__ = ["TRIAL_WORK"]

_GROUP_ROWS = 1_000_000


def _pyarrow_merge(request: Request, dataset: Dataset, tight: None) -> dict[str, Any]:
    """Write each key's rows as arrays of codes, with the values of both sides as dictionaries."""
    import time

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    (key,) = dataset.situation.key.columns
    sides = [pq.read_table(side).sort_by(key).combine_chunks() for side in (dataset.left, dataset.right)]
    keys = [side.column(key).to_numpy() for side in sides]
    fields = [*sides[0].schema, *(field for field in sides[1].schema if field.name != key)]
    schema = pa.schema([(field.name, pa.dictionary(pa.int32(), field.type)) for field in fields])
    processor = time.process_time()
    rows = 0
    with pq.ParquetWriter(
        f"{request.output}/all.parquet", schema, compression="zstd", store_schema=False,
        dictionary_pagesize_limit=2**30,
    ) as writer:  # fmt: skip
        for value in np.unique(keys[0]):
            (left_lo, right_lo), (left_hi, right_hi) = (
                [int(np.searchsorted(one, value, side)) for one in keys] for side in ("left", "right")
            )
            n_right = right_hi - right_lo
            step = max(1, _GROUP_ROWS // n_right)
            for start in range(left_lo, left_hi, step):
                n_left = min(step, left_hi - start)
                repeated = pa.array(np.repeat(np.arange(n_left, dtype="int32"), n_right))
                tiled = pa.array(np.tile(np.arange(n_right, dtype="int32"), n_left))
                blocks = [(repeated, column.slice(start, n_left)) for column in sides[0].columns]
                blocks += [
                    (tiled, sides[1].column(field.name).slice(right_lo, n_right))
                    for field in sides[1].schema
                    if field.name != key
                ]
                arrays = [
                    pa.DictionaryArray.from_arrays(codes, values.combine_chunks(), safe=False)
                    for codes, values in blocks
                ]
                writer.write_table(
                    pa.Table.from_arrays(arrays, schema=schema), row_group_size=n_left * n_right
                )
                rows += n_left * n_right
    return {"rows_per_core_second": rows / (time.process_time() - processor)}


TRIAL_WORK: dict[tuple[str, str], Callable[..., dict[str, Any]]] = {("pyarrow", "merge"): _pyarrow_merge}
"""What to do, by engine and task."""
