import numpy as np
import pytest

from napari_ini3d.fourier.small_grids import kept_if_small


def make(calls: list[int]):
    @kept_if_small
    def ramp(box_size: int, step: float) -> np.ndarray:
        calls.append(box_size)
        return np.arange(3) * step

    return ramp


def test_an_array_of_a_small_grid_is_made_once_and_cannot_be_changed():
    ramp = make(calls := [])
    assert ramp(64, 2.0) is ramp(64, 2.0)
    assert ramp(64, 3.0).tolist() == [0, 3, 6]
    assert calls == [64, 64]
    with pytest.raises(ValueError, match="read-only"):
        ramp(64, 2.0)[0] = 1


def test_an_array_of_a_large_grid_is_made_at_each_call():
    ramp = make(calls := [])
    ramp(129, 2.0)[0] = 1
    assert ramp(129, 2.0).tolist() == [0, 2, 4]
    assert calls == [129, 129]
