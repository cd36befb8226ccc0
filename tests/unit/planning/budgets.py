"""The budget that tests of plans have, of as many workers, threads and bytes as they say."""

from __future__ import annotations

from safeframe.facts.budget import Budget

__all__ = ["budget_of"]


def budget_of(allowed_nbytes: int, *, reserved_nbytes: int, n_workers: int = 4, threads: int = 1) -> Budget:
    """Return a budget of ``n_workers`` equal workers whose limit and use before any data are these."""
    return Budget(
        n_workers=n_workers,
        threads_per_worker=threads,
        allowed_nbytes=allowed_nbytes,
        reserved_nbytes=reserved_nbytes,
        transport_nbytes=0,
        headroom_fraction=0.8,
        measured=True,
    )
