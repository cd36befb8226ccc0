"""The size of a merge of plain dask, by the keys of both sides."""

from __future__ import annotations

from typing import Any

from dask.dataframe.api import new_collection

from safeframe.facts.merge import MergeEstimate
from safeframe.prepare.arguments import as_frame
from safeframe.prepare.merge.keys import KeyArguments, keyed_sides
from safeframe.prepare.merge.sizes import size_join


def counted_merge(node: Any) -> MergeEstimate:
    """Count the keys of a merge's sides.

    Parameters
    ----------
    node
        dask's expression of the merge.

    Raises
    ------
    SafeframeError
        When its keys are none that can be counted.

    Notes
    -----
    **Eager.** The key columns of both sides are read, after all steps before the merge.
    """
    names = KeyArguments(
        node.how,
        None,
        node.left_on,
        node.right_on,
        bool(node.left_index),
        bool(node.right_index),
        ("_left", "_right"),
    )
    left, right = (
        as_frame(new_collection(side), name) for side, name in ((node.left, "left"), (node.right, "right"))
    )
    return size_join(keyed_sides(left, right, names), None).estimate
