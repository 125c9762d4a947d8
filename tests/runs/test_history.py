import numpy as np
import pytest
from fake_runs import make_volume

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io.mrc.maps import write_map
from napari_ini3d.runs import history
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.history import (
    forget_history_after,
    history_iterations,
    read_history,
    write_history,
)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def test_a_map_is_read_with_half_precision(folder):
    volumes = np.stack([make_volume(seed=k) * 1e6 for k in range(2)])  # beyond float16
    write_history(folder, 7, volumes, 3.0)
    for k in range(2):
        volume, voxel = read_history(folder, 7, k)
        np.testing.assert_allclose(volume, volumes[k], atol=1e-3 * volumes.max())
        assert voxel == 3.0


def test_a_map_of_zeros_is_stored(folder):
    write_history(folder, 1, np.zeros((1, 16, 16, 16), np.float32), 3.0)
    assert not read_history(folder, 1, 0)[0].any()


def test_large_maps_are_downsampled_over_the_same_width(folder, monkeypatch):
    monkeypatch.setattr(history, "HISTORY_SIZE", 24)
    write_history(folder, 2, make_volume()[None], 3.0)
    volume, voxel = read_history(folder, 2, 0)
    assert volume.shape == (24, 24, 24)
    assert voxel * 24 == pytest.approx(32 * 3.0)


def test_written_maps_are_used_for_iterations_without_small_maps(folder):
    write_history(folder, 3, make_volume()[None], 3.0)
    write_map(folder.class_map_path(10, 0), make_volume(seed=4), 3.0)
    write_map(folder.class_map_path(12, 1), make_volume(seed=5), 3.0)
    assert history_iterations(folder, 0) == [3, 10]
    assert history_iterations(folder, 1) == [3, 12]
    np.testing.assert_array_equal(read_history(folder, 10, 0)[0], make_volume(seed=4))


def test_later_iterations_are_deleted(folder):
    for iteration in (1, 2, 3):
        write_history(folder, iteration, make_volume()[None], 3.0)
    forget_history_after(folder, 1)
    assert history_iterations(folder) == [1]


def test_a_damaged_small_map_is_replaced_by_the_written_one(folder, caplog):
    write_history(folder, 9, np.stack([make_volume(), make_volume()]), 3.0)
    (folder.path / "history" / "it009.npz").write_bytes(b"cut")
    write_map(folder.class_map_path(9, 0), make_volume(), 3.0)
    np.testing.assert_allclose(read_history(folder, 9, 0)[0], make_volume(), atol=1e-5)
    assert "it009.npz is damaged" in caplog.text


def test_maps_that_are_nowhere_are_refused(folder):
    with pytest.raises(RunFolderError, match="no map of class 2 at iteration 9"):
        read_history(folder, 9, 1)
    write_history(folder, 9, np.stack([make_volume(), make_volume()]), 3.0)
    with pytest.raises(RunFolderError, match="no map of class 3 at iteration 9"):
        read_history(folder, 9, 2)
    (folder.path / "history" / "it009.npz").write_bytes(b"cut")
    with pytest.raises(RunFolderError, match="no map of class 1 at iteration 9"):
        read_history(folder, 9, 0)


def test_a_map_shared_by_annealed_classes_is_returned_for_each(folder):
    write_history(folder, 1, make_volume()[None], 3.0)
    write_history(folder, 2, np.stack([make_volume(), make_volume(2.0)]), 3.0)
    first, second = (read_history(folder, 1, k)[0] for k in (0, 1))
    np.testing.assert_array_equal(first, second)
    separate = [read_history(folder, 2, k)[0] for k in (0, 1)]
    assert not np.array_equal(*separate)
    assert history_iterations(folder, 1) == [1, 2]
