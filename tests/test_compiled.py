from napari_ini3d import compiled


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
