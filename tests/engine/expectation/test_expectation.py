import dataclasses

import fake_cupy
import numpy as np
import oracles
import pytest
from expectation_problem import (
    BOX,
    CLASSES,
    FINE_SHIFTS,
    IMAGES,
    expect,
    make_references,
    make_tile,
    power_of,
)

from napari_ini3d.engine.images import Tile
from napari_ini3d.engine.maximisation import complete_friedel
from napari_ini3d.engine.reference_set import Pruning, ReferenceSet
from napari_ini3d.engine.sums import BestPoses, TileSums, best_poses
from napari_ini3d.kernels.backend import choose_backend
from napari_ini3d.kernels.types import Backend


@dataclasses.dataclass(frozen=True)
class Found:
    """Sums of a tile on the host, with the poses as they are recorded."""

    numerator: np.ndarray
    denominator: np.ndarray
    explained: np.ndarray
    class_weight: np.ndarray
    poses: BestPoses


@pytest.fixture(params=["cpu", "gpu"])
def compute(request, monkeypatch):
    """Return the expectation of references and a tile, on the CPU or on an emulated GPU."""
    if request.param == "cpu":
        cpu = choose_backend("cpu")
        return lambda references, tile: on_host(expect(references, tile), cpu)
    fake_cupy.install(monkeypatch, fake_cupy.Machine())
    gpu = choose_backend("gpu")
    return lambda references, tile: on_host(expect(*on_gpu(gpu, references, tile)), gpu)


def on_gpu(gpu: Backend, references: ReferenceSet, tile: Tile) -> tuple[ReferenceSet, Tile]:
    def moved(record, *left: str):
        arrays = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
        there = {
            name: gpu.to_device(array)
            for name, array in arrays.items()
            if isinstance(array, np.ndarray) and name not in left
        }
        return dataclasses.replace(record, **there)

    fine = references.fine
    moved_fine = fine and dataclasses.replace(moved(fine), grid=moved(fine.grid))
    references = dataclasses.replace(
        moved(references),
        disk=references.disk.on(gpu.to_device_together),
        grid=moved(references.grid),
        fine=moved_fine,
        null=moved(references.null),
        backend=gpu,
        chunk_rows=100,
    )
    return references, moved(tile, "index", "centre")


def on_host(sums: TileSums, backend: Backend) -> Found:
    arrays = (sums.numerator, sums.denominator, sums.explained, sums.class_weight)
    return Found(*map(backend.to_host, arrays), best_poses([sums.poses], backend))


def all_poses(references: ReferenceSet) -> list[oracles.Pose]:
    return [
        oracles.Pose(k, matrix, shift)
        for k in range(CLASSES)
        for matrix in references.grid.matrices
        for shift in references.shifts
    ]


def children_of_all(references: ReferenceSet, tile: Tile) -> list[list[oracles.Pose]]:
    """Return, for each image, all fine poses about each coarse rotation's own best shift."""
    coarse = all_poses(references)
    assert references.fine is not None
    n_shifts, n_rotations = len(references.shifts), len(references.grid.matrices)
    candidates = []
    for image in range(IMAGES):
        log = oracles.log_posterior(references, tile, image, coarse, BOX, references.n_coarse)
        best = log.reshape(CLASSES, n_rotations, n_shifts).argmax(2)
        candidates.append(
            [
                oracles.Pose(
                    k, references.fine.grid.matrices[child], references.shifts[best[k, r]] + fine
                )
                for k in range(CLASSES)
                for r in range(n_rotations)
                for child in range(8 * r, 8 * r + 8)
                for fine in references.fine.shifts
            ]
        )
    return candidates


def distance_moved(found: Found, tile: Tile) -> np.ndarray:
    """Return how far the best poses are from the expected shifts, pixels."""
    return np.hypot(*(found.poses.shift - tile.centre + tile.from_expected).T)


def assert_same(found: Found, expected: oracles.Expectation, tile: Tile) -> None:
    poses = found.poses
    assert np.array_equal(poses.index, tile.index)
    assert np.allclose(poses.log_evidence, expected.evidence, atol=2e-3)
    assert np.allclose(poses.max_probability, [w.max() for w in expected.weights], rtol=5e-3)
    assert poses.class_index.tolist() == [b.class_index for b in expected.best]
    assert np.allclose(poses.matrix, [b.matrix for b in expected.best])
    shifts = tile.centre + [b.shift for b in expected.best]
    assert np.allclose(poses.shift, shifts)
    assert np.allclose(poses.junk_probability, expected.junk, atol=2e-3)
    assert np.allclose(found.class_weight, expected.class_weight, atol=5e-3)
    scale = np.abs(expected.explained).max()
    assert np.allclose(found.explained, expected.explained, atol=2e-3 * scale)
    numerator, denominator = found.numerator.copy(), found.denominator.copy()
    complete_friedel(numerator, denominator)
    for k in range(CLASSES):
        for cube, whole in ((numerator, expected.numerator), (denominator, expected.denominator)):
            half = oracles.half_cube(whole[k])
            assert np.allclose(cube[k], half, atol=2e-3 * np.abs(half).max())


@pytest.mark.parametrize("padding", [1, 2])
def test_one_pass_finds_what_comparing_pose_by_pose_finds(compute, padding):
    references = make_references(padding=padding)
    tile = make_tile(references)
    expected = oracles.expect(references, tile, [all_poses(references)] * IMAGES, BOX)
    # the problem is neither decided beforehand nor undecided
    assert 0.02 < np.mean([w.max() for w in expected.weights]) < 0.9
    assert_same(compute(references, tile), expected, tile)


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("padding", [1, 2])
def test_two_passes_without_pruning_compare_all_children(compute, padding, table):
    references = make_references(two_pass=True, padding=padding, table=table)
    tile = make_tile(references)
    expected = oracles.expect(references, tile, children_of_all(references, tile), BOX)
    assert_same(compute(references, tile), expected, tile)


def test_rotations_of_little_weight_are_excluded_and_the_rest_weighs_what_is_not_junk(
    compute,
):
    references = make_references(two_pass=True)
    references = dataclasses.replace(
        references, pruning=dataclasses.replace(references.pruning, pose_weight=0.2)
    )
    tile = make_tile(references)
    found = compute(references, tile)
    expected = oracles.expect(references, tile, children_of_all(references, tile), BOX, kept=0.2)
    assert_same(found, expected, tile)
    particles = (1 - found.poses.junk_probability).sum()
    assert found.class_weight.sum() == pytest.approx(particles, rel=1e-5)
    rows = [w.reshape(-1, len(FINE_SHIFTS)).max(1) for w in expected.weights]
    assert found.poses.n_significant.tolist() == [(r > 0.2 * r.max()).sum() for r in rows]


def test_pruning_to_one_rotation_compares_its_eight_children(compute):
    references = make_references(two_pass=True)
    references = dataclasses.replace(
        references, pruning=Pruning(rotation_weight=1.0, max_rotations=1, pose_weight=0.0)
    )
    tile = make_tile(references)
    coarse = all_poses(references)
    n_shifts = len(references.shifts)
    candidates = []
    for image in range(IMAGES):
        log = oracles.log_posterior(references, tile, image, coarse, BOX, references.n_coarse)
        per_rotation = np.exp(log - log.max()).reshape(-1, n_shifts)
        row = int(per_rotation.sum(1).argmax())
        pose = coarse[row * n_shifts + int(per_rotation[row].argmax())]
        first = 8 * (row % len(references.grid.matrices))
        assert references.fine is not None
        candidates.append(
            [
                oracles.Pose(pose.class_index, references.fine.grid.matrices[c], pose.shift + fine)
                for c in range(first, first + 8)
                for fine in references.fine.shifts
            ]
        )
    assert_same(compute(references, tile), oracles.expect(references, tile, candidates, BOX), tile)


@pytest.mark.parametrize(("two_pass", "limit"), [(False, 0.9), (True, 1.2)])
def test_poses_beyond_the_offset_limit_and_a_pixel_have_no_weight_and_the_others_keep_theirs(
    compute, two_pass, limit
):
    free = make_references(two_pass=two_pass)
    tile = make_tile(free)
    references = dataclasses.replace(free, offset_limit_px=limit)
    every = children_of_all(references, tile) if two_pass else [all_poses(references)] * IMAGES
    within = [
        [p for p in poses if np.hypot(*(start + p.shift)) <= limit + 1]
        for start, poses in zip(tile.from_expected, every, strict=True)
    ]
    assert all(within)
    assert sum(map(len, within)) < sum(map(len, every))
    found = compute(references, tile)
    assert_same(found, oracles.expect(references, tile, within, BOX), tile)
    assert distance_moved(found, tile).max() <= limit + 1
    assert distance_moved(compute(free, tile), tile).max() > limit + 1


@pytest.mark.parametrize("two_pass", [False, True])
def test_a_class_bias_moves_images_between_classes(compute, two_pass):
    references = make_references(two_pass=two_pass)
    bias = np.array([[0, 0], [2, 0], [0, 3], [-40, 40]], np.float32)
    tile = dataclasses.replace(make_tile(references), class_bias=bias)
    candidates = children_of_all(references, tile) if two_pass else [all_poses(references)] * IMAGES
    found = compute(references, tile)
    assert_same(found, oracles.expect(references, tile, candidates, BOX), tile)
    assert found.poses.class_index[3] == 1


def test_the_fine_pass_returns_what_the_scale_of_an_image_follows_from(compute):
    references = make_references(two_pass=True)
    tile = make_tile(references)
    poses = compute(references, tile).poses
    assert references.fine is not None
    kx, ky = references.disk.kx.astype(float), references.disk.ky.astype(float)
    for image in range(IMAGES):
        shift = poses.shift[image] - tile.centre[image]
        best = oracles.Pose(poses.class_index[image], poses.matrix[image], shift)
        values = oracles.slices_of(references, [best], len(kx))[0]
        wave = oracles.shift_wave(kx, ky, shift, BOX)
        expected = oracles.overlap_and_power(references, tile, image, values, wave)
        assert poses.overlap[image] == pytest.approx(expected[0], rel=2e-3, abs=0.02)
        assert poses.reference_power[image] == pytest.approx(expected[1], rel=2e-3)


@pytest.mark.parametrize("two_pass", [False, True])
def test_premultiplied_images_give_the_same_sums(compute, two_pass):
    references = make_references(two_pass=two_pass)
    raw = make_tile(references)
    multiplied = dataclasses.replace(raw, images=raw.images * raw.ctf, premultiplied=True)
    one, other = compute(references, raw), compute(references, multiplied)
    scale = np.abs(one.numerator).max()
    assert np.allclose(one.numerator, other.numerator, atol=1e-4 * scale)
    assert np.allclose(one.denominator, other.denominator, rtol=1e-3, atol=1e-6)
    assert np.allclose(one.explained, other.explained, rtol=1e-3)
    assert np.allclose(one.poses.log_evidence, other.poses.log_evidence, atol=1e-3)
    assert np.array_equal(one.poses.matrix, other.poses.matrix)


def test_the_reference_of_an_image_without_noise_explains_its_power(compute):
    references = make_references()
    tile = make_tile(references)
    row = 37
    image = oracles.slices_of(references, [all_poses(references)[row * 3]], len(references.disk))
    images = np.repeat(image, IMAGES, 0).astype(np.complex64)
    tile = dataclasses.replace(
        tile,
        images=images,
        ctf=np.ones_like(tile.ctf),
        sigma2=np.full_like(tile.sigma2, 1e-2),
        from_expected=np.zeros_like(tile.from_expected),
        shell_weight=np.ones_like(tile.shell_weight),
        scale=np.ones_like(tile.scale),
        image_power=power_of(images, references),
    )
    found = compute(references, tile)
    assert np.allclose(found.explained, tile.image_power.sum(0), rtol=1e-4)
    assert np.allclose(found.poses.matrix, references.grid.matrices[row])
    assert np.allclose(found.poses.max_probability, 1)


def test_expectation_changes_nothing_and_gives_the_same_bits_twice(compute):
    references = make_references(two_pass=True)
    tile = make_tile(references)
    before = tile.images.copy(), references.slices.copy()
    first, again = compute(references, tile), compute(references, tile)
    assert np.array_equal(first.numerator, again.numerator)
    assert np.array_equal(first.denominator, again.denominator)
    assert np.array_equal(first.poses.log_evidence, again.poses.log_evidence)
    assert np.array_equal(tile.images, before[0])
    assert np.array_equal(references.slices, before[1])
