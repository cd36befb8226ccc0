from __future__ import annotations

import numpy as np
import pandas as pd

from safeframe.engine.exchange.nodes import WholePart


def test_a_whole_partition_is_cut_without_a_copy():
    whole = pd.DataFrame({"a": np.arange(1000), "s": pd.array(["x" * 92] * 1000, dtype="str")})
    slices = list(WholePart(whole).slices(10_000))
    assert 8 <= len(slices) <= 13
    pd.testing.assert_frame_equal(pd.concat(slices), whole)
    assert np.shares_memory(slices[1]["a"].to_numpy(), whole["a"].to_numpy())
    assert [len(one) for one in WholePart(whole).slices(None)] == [1000]
