import sys
import weakref
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_ini3d.comparison.compare import compare_maps
from napari_ini3d.engine import local_chunks
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.records import IterationReport
from napari_ini3d.engine.references import prepare_references
from napari_ini3d.engine.state import EngineState
from napari_ini3d.errors import DeviceError
from napari_ini3d.fourier.masks import radius_grid
from napari_ini3d.optics.ctf import compute_ctf, ctf_parameters
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulatedParticles,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)

BOX, PIXEL_SIZE, DIAMETER = 32, 5.0, 115.0
SETTINGS = InitialModelSettings(
    mask_diameter=DIAMETER, iterations=25, starts=2, offset_range=10.0, threads=1
)
SHORT = SETTINGS.with_changes(iterations=8)
PHANTOM = make_phantom(seed=3, diameter=100, domains=3)


def simulate(phantom=PHANTOM, **changes: object) -> SimulatedParticles:
    settings = SimulationSettings(
        number=300, box_size=BOX, pixel_size=PIXEL_SIZE, snr=2.0, offset_sigma=4.0, seed=2
    )
    return simulate_particles(phantom, settings.with_changes(**changes))


@pytest.fixture(scope="module")
def particles() -> SimulatedParticles:
    return simulate()


@pytest.fixture(scope="module")
def few() -> SimulatedParticles:
    return simulate(number=60)


@pytest.fixture(scope="module")
def run(particles) -> list[IterationReport]:
    return run_all(particles, SETTINGS)


def run_all(data: SimulatedParticles, settings: InitialModelSettings, **options):
    source = InMemorySource.of(data)
    return list(reconstruct(source, data.particles, settings, **options))


def arrays_of(state: EngineState) -> dict[str, np.ndarray]:
    return state.to_arrays()


def assert_same_bits(first: IterationReport, second: IterationReport) -> None:
    assert (first.iteration, first.phase, first.message) == (
        second.iteration,
        second.phase,
        second.message,
    )
    one, other = arrays_of(first.state), arrays_of(second.state)
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert values.dtype == other[name].dtype
        assert values.tobytes() == other[name].tobytes(), name


def test_a_map_like_the_truth_comes_from_nothing(run):
    truth = PHANTOM.density(BOX, PIXEL_SIZE)
    found = compare_maps(truth, run[-1].volumes[0], voxel_size=PIXEL_SIZE, mask_diameter=DIAMETER)
    assert found.resolution_half < 16.0
    assert found.mean_fsc(20.0) > 0.9


def test_reports_tell_the_story_of_the_run(run):
    phases = [report.phase for report in run]
    order = ["starts", "search", "refine", "final"]
    assert phases == sorted(phases, key=order.index)
    assert phases[0] == "starts"
    assert "search" in phases
    assert [report.iteration for report in run] == list(range(1, len(run) + 1))
    assert len(run) <= SETTINGS.iterations
    assert [report.state.finished for report in run] == [False] * (len(run) - 1) + [True]
    assert run[-1].resolution[0] < run[0].resolution[0]
    sizes = [report.current_size for report in run]
    assert sizes == sorted(sizes)
    for report in run:
        assert report.volumes.shape == (1, BOX, BOX, BOX)
        assert report.volumes.dtype == np.float32
        assert np.isfinite(report.volumes).all()
        assert report.fsc.shape == report.ssnr.shape == (1, BOX // 2 + 1)
        assert report.sigma2_noise.shape == (1, BOX // 2 + 1)
        assert (report.sigma2_noise > 0).all()
        assert report.class_shares.sum() == pytest.approx(1, abs=1e-4)
        assert 0 < report.mean_max_probability <= 1
        visited = (report.assignments.class_index >= 0).sum()
        assert report.view_counts.sum() == visited
        assert report.seconds["total"] > 0
        assert report.message


def test_the_parts_of_the_expectation_take_no_longer_than_the_whole(run):
    for report in run:
        parts = [value for name, value in report.seconds.items() if name.startswith("expectation/")]
        assert len(parts) == 3
        assert 0 < sum(parts) <= report.seconds["expectation"]
        stages = [v for k, v in report.seconds.items() if "/" not in k and k != "total"]
        assert sum(stages) == pytest.approx(report.seconds["total"])


def test_the_noise_of_the_images_is_found(run, particles):
    # high in the spectrum there is little but the noise, scaled to variance 1 in the background
    noise = run[-1].sigma2_noise[0, 12:16].mean()
    images = particles.images
    background = images[:, radius_grid(BOX, 2) > DIAMETER / PIXEL_SIZE / 2]
    scaled = np.fft.rfft2(images / background.std(1)[:, None, None])[:, 13, 2]
    assert noise == pytest.approx((np.abs(scaled) ** 2).mean() / 2 / BOX**4, rel=0.15)


def test_one_seed_gives_the_same_bits_twice_and_with_two_threads(few):
    first = run_all(few, SHORT)
    for threads in (1, 2):
        again = run_all(few, SHORT.with_changes(threads=threads))
        assert len(again) == len(first)
        for one, other in zip(first, again, strict=True):
            assert_same_bits(one, other)


def test_another_seed_gives_another_run(few):
    first, other = (run_all(few, SHORT.with_changes(seed=seed))[-1] for seed in (1, 2))
    assert not np.array_equal(first.volumes, other.volumes)


@pytest.mark.parametrize("after", [1, 4, 6])
def test_a_resumed_run_has_the_bits_of_the_uninterrupted_one(few, tmp_path, after):
    whole = run_all(few, SHORT)
    path = tmp_path / "state.npz"
    np.savez(path, **whole[after - 1].state.to_arrays())
    with np.load(path) as arrays:
        state = EngineState.from_arrays(dict(arrays))
    rest = run_all(few, SHORT, state=state)
    assert len(rest) == len(whole) - after
    for one, other in zip(rest, whole[after:], strict=True):
        assert_same_bits(one, other)


def test_reports_are_not_changed_by_later_iterations(few):
    source = InMemorySource.of(few)
    kept = []
    for report in reconstruct(source, few.particles, SHORT):
        copies = {name: values.copy() for name, values in arrays_of(report.state).items()}
        kept.append((report, copies))
    for report, copies in kept:
        for name, values in arrays_of(report.state).items():
            assert values.tobytes() == copies[name].tobytes(), name


def test_a_finished_run_has_nothing_more_to_do(few):
    assert run_all(few, SHORT, state=run_all(few, SHORT)[-1].state) == []


def test_stopping_ends_after_the_current_iteration(few):
    seen = []
    source = InMemorySource.of(few)
    for report in reconstruct(source, few.particles, SHORT, stop=lambda: len(seen) >= 3):
        seen.append(report)
    assert [report.iteration for report in seen] == [1, 2, 3]
    rest = run_all(few, SHORT, state=seen[-1].state)
    assert_same_bits(rest[-1], run_all(few, SHORT)[-1])


@pytest.mark.parametrize("iterations", [2, 3])
def test_the_shortest_runs_end_with_every_particle_assigned(few, iterations):
    found = run_all(few, SHORT.with_changes(iterations=iterations))
    assert len(found) == iterations
    assert found[-1].state.finished
    assert not found[-1].converged
    assert (found[-1].assignments.class_index >= 0).all()


def test_no_gpu_is_an_error_before_the_first_iteration(few, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # whether it is installed or not
    monkeypatch.delitem(sys.modules, "napari_ini3d.kernels.gpu", raising=False)
    with pytest.raises(DeviceError):
        run_all(few, SHORT.with_changes(device="gpu"))


@pytest.mark.parametrize("anneal", [True, False])
def test_classes_are_found_with_their_shares_of_the_particles(anneal):
    parts = simulate(number=60), simulate(make_phantom(seed=8, diameter=70, domains=2), number=30)
    data = simulate(number=90)
    for name in ("defocus_u", "defocus_v", "defocus_angle"):
        values = [getattr(part.particles, name) for part in parts]
        getattr(data.particles, name)[:] = np.concatenate(values)
    source = InMemorySource(np.concatenate([part.images for part in parts]), PIXEL_SIZE)
    settings = SHORT.with_changes(classes=2, anneal_classes=anneal, iterations=10)
    found = list(reconstruct(source, data.particles, settings))
    assert len(found[0].volumes) == (1 if anneal else 2)
    assert all(report.class_shares.sum() == pytest.approx(1, abs=1e-4) for report in found)
    last, kind = found[-1], np.arange(90) >= 60
    assert last.volumes.shape == (2, BOX, BOX, BOX)
    large = int(last.class_shares.argmax())
    assert last.class_shares[large] == pytest.approx(2 / 3, abs=0.1)
    assert ((last.assignments.class_index != large) == kind).mean() > 0.9
    assert np.corrcoef(*last.volumes.reshape(2, -1))[0, 1] < 0.95


def test_symmetry_during_the_run_is_in_the_map():
    data = simulate(make_phantom("D2", seed=3, diameter=100, domains=1), number=60)
    settings = SHORT.with_changes(symmetry="D2", symmetry_during_run=True)
    for report in run_all(data, settings):
        volume = report.volumes[0]
        inner = volume[1:, 1:, 1:]  # symmetric about voxel n // 2
        for flips in ((1, 2), (0, 2), (0, 1)):
            rotated = np.flip(inner, flips)
            assert np.abs(rotated - inner).max() < 1e-3 * inner.max()
    free = run_all(data, settings.with_changes(symmetry_during_run=False))[-1].volumes[0][
        1:, 1:, 1:
    ]
    assert np.abs(np.flip(free, (1, 2)) - free).max() > 0.05 * free.max()


def outside() -> np.ndarray:
    return radius_grid(BOX, 3) > DIAMETER / PIXEL_SIZE / 2 + 14.0 / PIXEL_SIZE


def test_solvent_is_flat_and_density_not_negative_unless_asked(few):
    held = run_all(few, SHORT)[-1].volumes[0]
    assert held.min() == 0
    assert np.abs(held[outside()]).max() < 1e-6 * held.max()
    free = run_all(few, SHORT.with_changes(flatten_solvent=False, non_negative=False))[-1]
    assert free.volumes.min() < 0
    assert (free.volumes[0][outside()] != 0).mean() > 0.9


@pytest.mark.parametrize(
    "changes",
    [
        {"padding_factor": 2},
        {"gridding_correction": False},
        {"ctf_ignore_first_peak": True},
        {"max_resolution": 25.0},
    ],
    ids=lambda changes: "-".join(f"{k}={v}" for k, v in changes.items()),
)
def test_an_option_changes_the_map_and_not_what_it_shows(few, changes):
    plain, found = (run_all(few, s)[-1] for s in (SHORT, SHORT.with_changes(**changes)))
    likeness = np.corrcoef(plain.volumes.ravel(), found.volumes.ravel())[0, 1]
    assert 0.3 < likeness < 0.9999


def test_nothing_finer_than_the_maximum_resolution_is_used(few):
    for report in run_all(few, SHORT.with_changes(max_resolution=25.0)):
        assert BOX * PIXEL_SIZE / (report.current_size / 2) >= 25.0
        power = np.abs(np.fft.fftn(report.volumes[0])) ** 2
        finest = BOX * PIXEL_SIZE / np.maximum(radius_grid(BOX, 3), 1e-3)
        assert power[np.fft.ifftshift(finest) < 10.0].sum() < 0.01 * power.sum()


def test_the_tile_size_changes_the_first_map_by_rounding_only(few):
    plain, found = (
        run_all(few, settings)[0].volumes for settings in (SHORT, SHORT.with_changes(tile_size=7))
    )
    assert np.abs(found - plain).max() < 1e-4 * plain.max()


def test_padding_two_reconstructs_as_well(particles, run):
    truth = PHANTOM.density(BOX, PIXEL_SIZE)
    settings = SETTINGS.with_changes(padding_factor=2, iterations=16)
    found = run_all(particles, settings)[-1]
    compared = compare_maps(truth, found.volumes[0], voxel_size=PIXEL_SIZE, mask_diameter=DIAMETER)
    assert compared.mean_fsc(20.0) > 0.85


def test_images_without_ctf_are_reconstructed_without_correction():
    data = simulate(ctf=False)
    settings = SETTINGS.with_changes(ctf=False, iterations=16)
    found = run_all(data, settings)[-1]
    truth = PHANTOM.density(BOX, PIXEL_SIZE)
    compared = compare_maps(truth, found.volumes[0], voxel_size=PIXEL_SIZE, mask_diameter=DIAMETER)
    assert compared.mean_fsc(20.0) > 0.9


def test_the_start_of_the_largest_evidence_is_kept(run):
    states = [report.state for report in run]
    last = max(i for i, state in enumerate(states) if state.phase == "starts")
    assert [len(state.models) for state in states[: last + 1]] == [SETTINGS.starts] * (last + 1)
    assert all(len(state.models) == 1 for state in states[last + 1 :])
    starts, (kept,) = states[last].models, states[last + 1].models
    likeness = [np.corrcoef(model.maps.ravel(), kept.maps.ravel())[0, 1] for model in starts]
    evidence = [model.recent_evidence for model in starts]
    assert np.argmax(likeness) == np.argmax(evidence)
    assert max(likeness) > 0.98
    assert min(likeness) < 0.9  # starts are different maps


def test_several_optics_groups_have_noise_of_their_own():
    data = simulate(number=80, groups=2)
    images = data.images.copy()
    second = data.particles.optics_index == 1
    images[second] = gaussian_filter(images[second], (0, 1, 1))  # little noise at high frequency
    last = list(reconstruct(InMemorySource(images, PIXEL_SIZE), data.particles, SHORT))[-1]
    assert last.sigma2_noise.shape == (2, BOX // 2 + 1)
    assert np.isfinite(last.volumes).all()
    assert last.sigma2_noise[1, 12] < 0.2 * last.sigma2_noise[0, 12]


@pytest.mark.parametrize("offset_range", [0.0, 6.0])
def test_particles_are_looked_for_within_two_and_a_half_offset_ranges_and_a_pixel(
    few, offset_range
):
    last = run_all(few, SHORT.with_changes(offset_range=offset_range))[-1]
    found = np.hypot(last.assignments.origin_x, last.assignments.origin_y)
    assert found.max() <= 2.5 * offset_range + PIXEL_SIZE + 1e-3
    assert found.max() >= 0.8 * offset_range  # the true shifts are larger


def test_images_multiplied_by_their_ctf_are_reconstructed_as_well(particles):
    optics = particles.particles.optics[0]
    ky, kx = np.meshgrid(
        np.fft.fftfreq(BOX, PIXEL_SIZE), np.fft.rfftfreq(BOX, PIXEL_SIZE), indexing="ij"
    )
    ctf = compute_ctf(ctf_parameters(particles.particles, 0), kx, ky)
    images = np.fft.irfft2(np.fft.rfft2(particles.images) * ctf, s=(BOX, BOX))
    source = InMemorySource(images.astype(np.float32), PIXEL_SIZE)
    marked = replace(particles.particles, optics=(replace(optics, ctf_premultiplied=True),))
    settings = SETTINGS.with_changes(iterations=16)
    last = list(reconstruct(source, marked, settings))[-1]
    truth = PHANTOM.density(BOX, PIXEL_SIZE)
    found = compare_maps(truth, last.volumes[0], voxel_size=PIXEL_SIZE, mask_diameter=DIAMETER)
    assert found.mean_fsc(20.0) > 0.9


@pytest.mark.parametrize("number", [1, 2, 5])
def test_a_handful_of_particles_ends_with_a_finite_map(number):
    last = run_all(simulate(number=number), SHORT)[-1]
    assert last.subset_size == number
    assert np.isfinite(last.volumes).all()
    assert last.volumes.max() > 0


@pytest.mark.parametrize("padding", [1, 2])
def test_a_run_up_to_nyquist_stays_in_its_box(few, padding):
    settings = SHORT.with_changes(
        initial_resolution=10.0, max_resolution=10.0, padding_factor=padding, iterations=3
    )
    last = run_all(few, settings)[-1]
    assert last.current_size == BOX - 2
    assert np.isfinite(last.volumes).all()


def test_the_references_of_an_iteration_are_freed_before_those_of_the_next(few, monkeypatch):
    made = []

    def prepare(*args):
        assert [reference() for reference in made] == [None] * len(made)
        references = prepare_references(*args)
        made.append(weakref.ref(references[0][0].slices))
        return references

    monkeypatch.setattr(local_chunks, "prepare_references", prepare)
    assert len(run_all(few, SHORT)) == len(made)
