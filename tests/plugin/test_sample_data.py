import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_ini3d.geometry.point_groups import symmetry_operators
from napari_ini3d.io.mrc.maps import read_map
from napari_ini3d.plugin import sample_data
from napari_ini3d.plugin.layers import METADATA_KEY


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample_data.platformdirs, "user_cache_dir", lambda *a, **k: str(folder))
        yield folder


@pytest.fixture
def small(monkeypatch):
    """Few particles, where their number does not matter."""
    recipe = sample_data._RECIPES["D2"]
    few = replace(recipe, particles=recipe.particles.with_changes(number=5))
    monkeypatch.setattr(sample_data, "_RECIPES", {"D2": few})


def rotated(volume, operator):
    """Return the map after a rotation that maps the grid onto itself, voxel by voxel."""
    n = volume.shape[0]
    z, y, x = np.mgrid[1:n, 1:n, 1:n] - n // 2
    xyz = np.stack([x, y, z]).reshape(3, -1)
    source = np.rint(operator.T @ xyz).astype(int) + n // 2
    result = np.zeros_like(volume)
    result[1:, 1:, 1:] = volume[source[2], source[1], source[0]].reshape((n - 1,) * 3)
    return result


@pytest.mark.parametrize(
    ("opened", "symmetry"),
    [
        (sample_data.open_d2_map, "D2"),
        (sample_data.open_icosahedral_map, "D2"),  # its 2-folds lie on X, Y and Z
    ],
)
def test_the_map_has_its_symmetry_on_the_axes(opened, symmetry):
    ((data, keywords, kind),) = opened()
    assert (data.ndim, kind, keywords["rendering"]) == (3, "image", "iso")
    for operator in symmetry_operators(symmetry):
        np.testing.assert_allclose(
            rotated(data, operator)[1:, 1:, 1:], data[1:, 1:, 1:], atol=1e-3 * data.max()
        )


def test_the_sample_without_symmetry_has_none():
    ((data, _, _),) = sample_data.open_c1_map()
    for operator in symmetry_operators("D2")[1:]:
        assert np.corrcoef(rotated(data, operator).ravel(), data.ravel())[0, 1] < 0.9


@pytest.mark.parametrize(
    ("opened", "count"),
    [
        (sample_data.open_d2_particles, 800),
        (sample_data.open_c1_particles, 800),
        (sample_data.open_icosahedral_particles, 400),
    ],
)
def test_particles_are_those_of_the_star_file_beside_the_truth(opened, count):
    ((data, keywords, _),) = opened()
    assert len(data) == count
    known = keywords["metadata"][METADATA_KEY]
    folder = Path(known["path"]).parent
    assert {p.name for p in folder.glob("*.star")} == {"particles.star", "truth.star"}
    assert read_map(folder / "truth.mrc").data.shape == (data.shape[-1],) * 3
    assert len(known["features"]["rlnDefocusU"]) == count


def test_a_sample_is_made_once(monkeypatch):
    first = sample_data.sample_folder("D2")
    monkeypatch.setattr(sample_data, "simulate_particles", None)
    assert sample_data.sample_folder("D2") == first


def test_an_incomplete_sample_is_never_used(small, monkeypatch, tmp_path):
    monkeypatch.setattr(sample_data.platformdirs, "user_cache_dir", lambda *a, **k: str(tmp_path))
    real = sample_data.write_dataset

    def die(folder, *rest):
        real(folder, *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(sample_data, "write_dataset", die)
    with pytest.raises(KeyboardInterrupt):
        sample_data.sample_folder("D2")
    assert not list((tmp_path / "samples").iterdir())


def test_without_a_writable_cache_the_temporary_folder_is_used(small, monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setattr(sample_data.platformdirs, "user_cache_dir", lambda *a, **k: str(blocked))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    folder = sample_data.sample_folder("D2")
    assert tmp_path / "temporary" in folder.parents
    assert (folder / "particles.star").is_file()
