import numpy as np

from napari_ini3d.kernels import numba_jit as compiled


def test_kernels_compile_where_nothing_can_be_kept_on_disk(monkeypatch):
    real = compiled.numba.njit

    def no_place(**options: object):
        if options.get("cache"):

            def refuse(function: object) -> None:
                raise RuntimeError("no locator available")

            return refuse
        return real(**options)

    monkeypatch.setattr(compiled.numba, "njit", no_place)
    assert compiled.jit(lambda x: x + 1)(2) == 3


def test_values_added_side_by_side_are_those_of_a_loop():
    @compiled.jit
    def scatter(places, factors, out):
        for i in range(len(places)):
            place = np.uint32(places[i])
            values = (np.float32(1), np.float32(-2), np.float32(3), np.float32(0.5))
            compiled.simd_axpy(out, place, factors[i], values)

    rng = np.random.default_rng(0)
    places = rng.integers(0, 17, 200).astype(np.int32)  # they overlap, and reach both ends
    factors = rng.standard_normal(200).astype(np.float32)
    found, expected = np.ones(20, np.float32), np.ones(20)
    scatter(places, factors, found)
    for place, factor in zip(places, factors, strict=True):
        expected[place : place + 4] += factor * np.array([1, -2, 3, 0.5])
    assert np.allclose(found, expected, atol=1e-4)
