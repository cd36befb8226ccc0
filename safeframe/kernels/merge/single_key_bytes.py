"""The bytes of the join of one key's rows, by result row."""

from __future__ import annotations

import numpy as np

from safeframe.facts.merge import How
from safeframe.kernels.cuts import Places
from safeframe.kernels.merge.virtual import product_run


def single_key_line(left: Places, right: Places, how: How, cells: int) -> Places:
    """Return result rows and their bytes up to some places.

    Parameters
    ----------
    left, right
        Rows and bytes of either side.
    how
        Which rows stay.
    cells
        Parts that the result is cut into. Where there are no more left rows than that, a part may have some
        of the right rows only, and the bytes of these count one by one.

    Examples
    --------
    Two left rows of 1 B and 9 B, each beside right rows of 2 B and 4 B:

    >>> left, right = (
    ...     Places(np.array([0, 1, 2]), np.array([0, 1, 10]), 0),
    ...     Places(np.arange(3), np.array([0, 2, 6]), 0),
    ... )
    >>> line = single_key_line(left, right, "inner", cells=2)
    >>> line.rows.tolist(), line.nbytes.tolist()
    ([0, 1, 2, 3, 4], [0, 3, 8, 19, 32])
    """
    run = product_run(int(left.rows[-1]), int(right.rows[-1]), how)
    if not run.n_rows:
        return Places(np.zeros(1, np.int64), np.zeros(1, np.int64), 0)
    n_left, n_right = int(run.left_len[0]), int(run.right_len[0])
    if not n_right:
        return left
    if not n_left:
        return right
    if n_left > cells:
        return Places(left.rows * n_right, left.nbytes * n_right + left.rows * right.total_nbytes, 0)
    widths = np.diff(np.interp(np.arange(n_left + 1), left.rows, left.nbytes))
    rows = np.add.outer(np.arange(n_left) * n_right, right.rows[1:])
    nbytes = np.cumsum(np.outer(widths, np.diff(right.rows)) + np.diff(right.nbytes))
    return Places(np.append(0, rows.ravel()), np.append(0, np.rint(nbytes)).astype(np.int64), 0)
