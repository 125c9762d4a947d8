from types import SimpleNamespace

import numba

from napari_ini3d.kernels import numba_jit


def test_loops_compile_if_nothing_can_be_cached_on_disk(monkeypatch):
    def njit(**options: object):
        if options.get("cache"):

            def refuse(function: object) -> None:
                raise RuntimeError("no locator available")

            return refuse
        return numba.njit(**options)

    monkeypatch.setattr(numba_jit, "numba", SimpleNamespace(njit=njit))
    assert numba_jit.jit(lambda x: x + 1)(2) == 3
