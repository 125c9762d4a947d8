import sys

import llvmlite.ir
import numba
import numpy as np
import oracles
import pytest

from napari_ini3d.kernels import cpu, numba_jit
from napari_ini3d.kernels.axpy import choose_axpy, plain_axpy
from napari_ini3d.kernels.cpu import slices
from napari_ini3d.kernels.simd_axpy import simd_axpy

SIMD = "napari_ini3d.kernels.simd_axpy"


def scatter_with(axpy, places, factors) -> np.ndarray:
    @numba.njit
    def scatter(places, factors, out):
        for i in range(len(places)):
            place = np.uint32(places[i])
            values = (np.float32(1), np.float32(-2), np.float32(3), np.float32(0.5))
            axpy(out, place, factors[i], values)

    out = np.ones(20, np.float32)
    scatter(places, factors, out)
    return out


@pytest.mark.parametrize("axpy", [simd_axpy, plain_axpy], ids=["simd", "plain"])
def test_values_are_added_as_in_numpy(axpy):
    rng = np.random.default_rng(0)
    places = rng.integers(0, 17, 200).astype(np.int32)  # they overlap, and reach both ends
    factors = rng.standard_normal(200).astype(np.float32)
    expected = np.ones(20)
    for place, factor in zip(places, factors, strict=True):
        expected[place : place + 4] += factor * np.array([1, -2, 3, 0.5])
    assert np.allclose(scatter_with(axpy, places, factors), expected, atol=1e-4)


def test_the_vectorised_addition_is_used_with_this_numba(caplog):
    assert choose_axpy() is simd_axpy
    assert caplog.messages == []


def refuse(*arguments: object) -> None:
    raise AttributeError("no such attribute")


def test_a_plain_loop_is_used_if_numbas_internals_have_moved(monkeypatch, caplog):
    monkeypatch.delitem(sys.modules, SIMD)
    monkeypatch.delattr(numba.core, "cgutils")
    monkeypatch.setitem(sys.modules, "numba.core.cgutils", None)
    assert choose_axpy() is plain_axpy
    assert "do not work with numba" in caplog.text
    assert "cgutils" in caplog.text


def test_a_plain_loop_is_used_if_importing_the_vectorised_one_raises(monkeypatch, caplog):
    monkeypatch.delitem(sys.modules, SIMD)
    monkeypatch.setattr(numba.extending, "intrinsic", refuse)
    assert choose_axpy() is plain_axpy
    assert "AttributeError: no such attribute" in caplog.text


def test_a_plain_loop_is_used_if_the_vectorised_one_does_not_compile(monkeypatch, caplog):
    monkeypatch.delitem(sys.modules, SIMD)
    monkeypatch.setattr(numba_jit, "jit", numba.njit)  # compile it, whatever is in the cache
    monkeypatch.setattr(llvmlite.ir, "VectorType", refuse)
    assert choose_axpy() is plain_axpy
    assert "AttributeError: no such attribute" in caplog.text


def test_a_plain_loop_is_used_if_the_vectorised_one_gives_a_wrong_result(monkeypatch, caplog):
    monkeypatch.setattr(sys.modules[SIMD], "add_pair", lambda array, factor: None)
    assert choose_axpy() is plain_axpy
    assert "ValueError: 3 * (1, 2) added to (1, 1) is [1.0, 1.0]" in caplog.text


def test_backprojection_with_a_plain_loop_is_the_same_but_for_rounding(monkeypatch):
    rng = np.random.default_rng(1)
    kx, ky = (rng.integers(-4, 5, 30).astype(np.float32) for _ in range(2))
    parts = rng.standard_normal((2, 40, 30)).astype(np.float32)
    numerator, weight = (parts[0] + 1j * parts[1]).astype(np.complex64), np.abs(parts[0])
    matrices = oracles.random_matrices(rng, 40)

    def backproject() -> tuple[np.ndarray, np.ndarray]:
        cube = np.zeros((17, 17, 10), np.complex64), np.zeros((17, 17, 10), np.float32)
        cpu.backproject(numerator, weight, matrices, kx, ky, *cube)
        return cube

    vectorised = backproject()
    monkeypatch.setattr(slices, "_axpy", plain_axpy)
    compiled = numba.njit(slices._backproject.py_func, fastmath=True, error_model="numpy")
    monkeypatch.setattr(slices, "_backproject", compiled)
    plain = backproject()
    assert compiled.signatures
    for one, other in zip(vectorised, plain, strict=True):
        assert np.allclose(one, other, atol=1e-5)
