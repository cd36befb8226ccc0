"""The matrix that the modules here share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import dask
import pytest

from tests.conformance.matrix import Matrix


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return Matrix(tmp_path_factory.mktemp("conformance"))


@pytest.fixture(autouse=True)
def _warnings_of_dask() -> Iterator[None]:
    """dask warns on its own frames as well: of meta that it infers, of columns that are mixed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def scheduler(request: pytest.FixtureRequest) -> Iterator[str]:
    """Compute by one of dask's local schedulers, or on the workers of ``small_cluster``."""
    if request.param == "distributed":
        request.getfixturevalue("small_cluster")
        yield request.param
    else:
        with dask.config.set(scheduler=request.param):
            yield request.param
