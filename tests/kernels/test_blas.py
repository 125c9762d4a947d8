"""Threads of BLAS are limited for a while, and its libraries are not looked for each time."""

import importlib
import sys
import types

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from napari_ini3d.kernels import blas_threads

MODULE = importlib.import_module("napari_ini3d.kernels.blas")


def threads_of_blas():
    np.ones((2, 2)) @ np.ones((2, 2))
    return [found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"]


def test_products_use_one_thread_within_and_as_many_as_before_afterwards():
    with threadpool_limits(2, "blas"):
        before = threads_of_blas()
        with blas_threads(1):
            assert set(threads_of_blas()) == {1}
        assert threads_of_blas() == before


def test_the_number_of_threads_comes_back_after_an_error():
    before = threads_of_blas()
    with pytest.raises(ValueError, match="of the product"), blas_threads(1):
        raise ValueError("of the product")
    assert threads_of_blas() == before


@pytest.fixture
def searches(monkeypatch):
    """How often the loaded libraries were looked for."""
    found, search = [], MODULE.ThreadpoolController

    def counted():
        found.append(search())
        return found[-1]

    monkeypatch.setattr(MODULE, "ThreadpoolController", counted)
    monkeypatch.setattr(MODULE, "_libraries", MODULE._Libraries())
    return found


def test_libraries_are_looked_for_once_however_often_they_are_limited(searches):
    for _ in range(3):
        with blas_threads(1):
            pass
    assert len(searches) == 1


def test_libraries_are_looked_for_again_when_a_module_was_imported(searches, monkeypatch):
    with blas_threads(1):
        pass
    monkeypatch.setitem(sys.modules, "a_module_with_a_blas_of_its_own", types.ModuleType("a"))
    with blas_threads(1):
        pass
    assert len(searches) == 2
