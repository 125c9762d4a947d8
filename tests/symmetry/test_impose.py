import shutil
import subprocess

import mrcfile
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.errors import MapError, SymmetryError
from napari_ini3d.fourier.masks import radius_grid
from napari_ini3d.fourier.nufft import FineMap
from napari_ini3d.fourier.resample import rotate_map
from napari_ini3d.geometry.point_groups import PointGroup, symmetry_operators
from napari_ini3d.io.mrc.maps import write_map
from napari_ini3d.simulation import make_phantom
from napari_ini3d.symmetry.impose import coset_chain, impose_symmetry, mean_of_copies
from napari_ini3d.symmetry.subgroup import subgroups

N = 40
RADIUS = radius_grid(N, 3)
LATTICE = ["C2", "C4", "D2", "D4", "O"]
OTHERS = ["C3", "C5", "C7", "C12", "D3", "D7", "T", "I1", "I4"]


def noise_in_a_ball(radius: float = 5.0, share: float = 0.5, seed: int = 0) -> np.ndarray:
    """Return noise that fades out about `radius` and, in Fourier space, below Nyquist."""
    rng = np.random.default_rng(seed)
    k = np.fft.fftfreq(N)
    length = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    noise_ft = np.fft.fftn(rng.standard_normal((N, N, N))) * (length < share / 2)
    return np.fft.ifftn(noise_ft).real * np.exp(-((RADIUS / radius) ** 2))


def mean_of_all_operators(volume: np.ndarray, name: str) -> np.ndarray:
    operators = symmetry_operators(name)
    return FineMap.of(volume).mean_of_rotated(operators, radius=N / 2)


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("name", LATTICE + OTHERS)
def test_the_imposed_map_is_the_mean_over_all_operators(name):
    volume = noise_in_a_ball()
    found, expected = impose_symmetry(volume, name), mean_of_all_operators(volume, name)
    inside = RADIUS <= N / 2
    assert relative_error(found[inside], expected[inside]) < 1e-5


@pytest.mark.parametrize(("name", "error"), [("T", 2e-5), ("D7", 2e-5), ("I4", 5e-3)])
def test_noise_that_fills_the_box_is_averaged_all_the_same(name, error):
    volume = noise_in_a_ball(radius=np.inf)
    found, expected = impose_symmetry(volume, name), mean_of_all_operators(volume, name)
    inside = RADIUS < 15  # further out the sphere has a soft edge
    assert relative_error(found[inside], expected[inside]) < error


@pytest.mark.parametrize("name", LATTICE)
def test_groups_that_keep_the_voxels_are_averaged_without_interpolation(name):
    volume = np.random.default_rng(0).integers(0, 100, (16, 16, 16)).astype(np.float32)
    line = np.arange(16) - 8
    points = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1)[..., ::-1]
    expected = np.zeros(volume.shape)
    operators = symmetry_operators(name)
    for operator in operators:
        x, y, z = np.moveaxis(np.rint(points @ operator).astype(int), -1, 0)
        expected += volume[(z + 8) % 16, (y + 8) % 16, (x + 8) % 16]
    assert np.allclose(impose_symmetry(volume, name), expected / len(operators), rtol=1e-6)


@pytest.mark.parametrize("name", ["C3", "D7", "T", "O", "I", "I3"])
@pytest.mark.parametrize(("radius", "error"), [(5.0, 1e-5), (np.inf, 3e-3)])
def test_imposing_twice_is_imposing_once(name, radius, error):
    once = impose_symmetry(noise_in_a_ball(radius), name)
    assert relative_error(impose_symmetry(once, name), once) < error


@pytest.mark.parametrize("name", ["C5", "D3", "T", "O", "I2", "I4"])
def test_a_symmetric_phantom_stays_as_it_is(name):
    phantom = make_phantom(name, diameter=130, domains=1, domain_radius=(8, 30), bead_width=16.0)
    volume = phantom.density(N, 8.0)
    assert relative_error(impose_symmetry(volume, name), volume) < 1e-3


def test_an_asymmetric_map_becomes_symmetric():
    volume = noise_in_a_ball()
    imposed = impose_symmetry(volume, "C7")
    rotation = Rotation.from_euler("z", 360 / 7, degrees=True).as_matrix()
    assert relative_error(rotate_map(imposed, rotation), imposed) < 1e-3
    assert relative_error(rotate_map(volume, rotation), volume) > 1


def test_without_symmetry_nothing_changes():
    volume = noise_in_a_ball(np.inf).astype(np.float32)
    assert np.array_equal(impose_symmetry(volume, "C1"), volume)


def test_outside_the_inscribed_sphere_the_map_has_its_mean_there():
    volume = 5 + noise_in_a_ball(np.inf)
    imposed = impose_symmetry(volume, "C3")
    outside = RADIUS > N / 2
    assert np.allclose(imposed[outside], volume[outside].mean(), atol=1e-5)
    assert np.ptp(imposed[outside]) == 0


def test_a_constant_added_before_is_there_afterwards():
    volume = noise_in_a_ball()
    assert np.allclose(
        impose_symmetry(volume + 5, "T"), impose_symmetry(volume, "T") + 5, atol=1e-4
    )


def test_the_mask_multiplies_the_result():
    volume, mask = noise_in_a_ball(), (RADIUS < 3).astype(float)
    assert np.allclose(
        impose_symmetry(volume, "D2", mask=mask), impose_symmetry(volume, "D2") * mask
    )


@pytest.mark.parametrize("name", [*LATTICE, *OTHERS, "C30", "D12"])
def test_the_products_of_the_chain_are_the_operators_each_once(name):
    products = np.eye(3)[None]
    for step in coset_chain(PointGroup.parse(name)):
        assert np.allclose(step[0], np.eye(3))
        products = (step[:, None] @ products[None]).reshape(-1, 3, 3)
    operators = symmetry_operators(name)
    apart = np.abs(products[:, None] - operators[None]).max(axis=(2, 3))
    assert len(products) == len(operators)
    assert apart.min(axis=0).max() < 1e-9


@pytest.mark.parametrize(("name", "most"), [("O", 0), ("I", 4), ("C12", 2), ("T", 11), ("I3", 7)])
def test_few_copies_are_interpolated(name, most):
    steps = coset_chain(PointGroup.parse(name))
    assert sum(len(s) - 1 for s in steps if not np.allclose(s, np.rint(s), atol=1e-6)) == most


@pytest.mark.relion
@pytest.mark.skipif(shutil.which("relion_image_handler") is None, reason="RELION is not installed")
@pytest.mark.parametrize("name", ["C3", "D2", "D7", "O", "I"])
def test_relion_imposes_the_same(name, tmp_path):
    volume = make_phantom("C1", diameter=150, domains=4).density(64, 4.0, 9.0)
    write_map(tmp_path / "in.mrc", volume, 4.0)
    command = f"relion_image_handler --i in.mrc --sym {name} --o out.mrc"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    theirs, ours = mrcfile.read(tmp_path / "out.mrc"), impose_symmetry(volume, name)
    inside = radius_grid(64, 3) < 24
    assert np.corrcoef(theirs[inside], ours[inside])[0, 1] > 0.998
    assert np.corrcoef(theirs[inside], volume[inside])[0, 1] < 0.9


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (np.ones((16, 16, 18)), "expected a cube"),
        (np.ones((17, 17, 17)), "expected an even one"),
        (np.ones((8, 8, 8)), "at least 16 per side"),
        (np.ones((16, 16, 16)), "every voxel is 1"),
        (np.full((16, 16, 16), np.nan), "4096 voxels are NaN"),
        (np.zeros((0, 0, 0)), "at least 16 per side"),
    ],
)
def test_maps_that_cannot_be_averaged_are_refused(volume, message):
    with pytest.raises(MapError, match=message):
        impose_symmetry(volume, "D2")


@pytest.mark.parametrize(
    ("mask", "message"), [(np.ones((4, 4, 4)), "the mask has the shape"), (None, "NaN or infinite")]
)
def test_masks_that_do_not_fit_are_refused(mask, message):
    mask = np.full((N, N, N), np.nan) if mask is None else mask
    with pytest.raises(MapError, match=message):
        impose_symmetry(noise_in_a_ball(), "D2", mask=mask)


def test_groups_that_do_not_exist_are_refused():
    with pytest.raises(SymmetryError, match="unknown point group"):
        impose_symmetry(noise_in_a_ball(), "I5")


@pytest.mark.parametrize("name", ["C5", "D3", "T"])
def test_the_mean_of_copies_is_that_over_all_operators_of_a_group_and_of_its_subgroups(name):
    volume = noise_in_a_ball().astype(np.float32)
    operators, fine = symmetry_operators(name), FineMap.of(volume)
    for members in subgroups(PointGroup.parse(name))[:4]:
        found = mean_of_copies(volume, operators[members])
        expected = fine.mean_of_rotated(operators[members])
        assert relative_error(found, expected) < 1e-4


@pytest.mark.parametrize("name", ["C4", "C3"])
def test_the_copy_under_one_operator_is_the_rotated_map(name):
    volume = noise_in_a_ball().astype(np.float32)
    one = symmetry_operators(name)[1:2]
    found = mean_of_copies(volume, one)
    assert relative_error(found, FineMap.of(volume).mean_of_rotated(one)) < 1e-4
