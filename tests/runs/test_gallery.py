"""Particles of a run beside their reprojections, with particles whose poses are known."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import starfile
from fake_runs import make_record

from napari_ini3d.errors import RunFolderError
from napari_ini3d.geometry import pixel_directions
from napari_ini3d.io import ParticleFiles
from napari_ini3d.particles import ImageBatch
from napari_ini3d.runs import gallery
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.gallery import read_gallery_images, read_run_particles
from napari_ini3d.runs.history import write_history
from napari_ini3d.runs.source_particles import digest_particle_files
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

N, BOX, PIXEL = 16, 48, 4.0


@pytest.fixture(scope="module")
def truth():
    phantom = make_phantom("C1", diameter=110.0, seed=4)
    settings = SimulationSettings(number=N, box_size=BOX, pixel_size=PIXEL, snr=2.0, seed=4)
    return phantom, simulate_particles(phantom, settings)


@pytest.fixture
def run(truth, tmp_path):
    """A run folder whose map and poses are the true ones; every second particle is of class 2."""
    phantom, simulated = truth
    star = write_dataset(tmp_path / "data", simulated, phantom)
    folder = RunFolder.create(tmp_path / "run")
    settings = InitialModelSettings(mask_diameter=140.0, classes=2)
    digest = digest_particle_files(ParticleFiles(star))
    folder.write_record(
        make_record(particles=str(star), particles_sha256=digest, n_particles=N, settings=settings)
    )
    volume = phantom.density(BOX, PIXEL)
    write_history(folder, 3, np.stack([volume, volume]), PIXEL)
    write_poses(folder, simulated.truth)
    return folder


def write_poses(folder, poses, **changes):
    values = {f.name: getattr(poses, f.name) for f in dataclasses.fields(poses)}
    values |= {
        "class_index": (np.arange(len(poses.rot)) % 2).astype(np.int32),
        "junk_probability": np.linspace(0, 1, len(poses.rot), dtype=np.float32),
        **changes,
    }
    arrays = {f"assignments.{name}": value for name, value in values.items()}
    folder.write_checkpoint(arrays | {"models.0.maps": np.zeros((2, 4, 4, 4))}, 3, keep=False)


def test_a_particle_is_like_its_own_reprojection_and_no_other(run):
    particles = read_run_particles(run)
    found = read_gallery_images(particles, np.arange(N))
    assert found.images.shape == found.reprojections.shape == (N, BOX, BOX)
    assert found.pixel_size == PIXEL
    images, projections = (a.reshape(N, -1) for a in (found.images, found.reprojections))
    table = np.corrcoef(images, projections)[:N, N:]
    assert (table.argmax(axis=1) == np.arange(N)).all()
    assert found.correlation.min() > 0.5


def test_images_are_centred_by_their_origins(run, truth):
    _, simulated = truth
    zero = np.zeros(N, np.float32)
    assert np.abs(simulated.truth.origin_x).max() > 5
    own = read_gallery_images(read_run_particles(run), np.arange(N)).correlation
    write_poses(run, simulated.truth, origin_x=zero, origin_y=zero)
    not_centred = read_gallery_images(read_run_particles(run), np.arange(N)).correlation
    assert own.mean() > not_centred.mean() + 0.1


def test_a_filter_removes_high_frequencies_and_no_correlation(run):
    particles = read_run_particles(run)
    plain = read_gallery_images(particles, np.arange(4))
    smooth = read_gallery_images(particles, np.arange(4), low_pass=30.0)
    assert np.diff(smooth.images).std() < 0.7 * np.diff(plain.images).std()
    np.testing.assert_array_equal(smooth.correlation, plain.correlation)


def test_particles_are_selected_by_class_and_direction(run):
    particles = read_run_particles(run)
    np.testing.assert_array_equal(particles.select(0), np.arange(0, N, 2))
    direction = particles.directions[5]
    near = particles.select(None, direction, 1.0)
    assert 5 in near
    angles = np.degrees(np.arccos(np.clip(particles.directions @ direction, -1, 1)))
    np.testing.assert_array_equal(
        particles.select(None, direction, 60.0), np.nonzero(angles <= 60)[0]
    )
    assert 5 not in particles.select(0, direction, 1.0)  # of class 2


def test_particles_without_a_pose_are_not_selected(run, truth):
    _, simulated = truth
    classes = np.full(N, -1, np.int32)
    classes[3] = 0
    write_poses(run, simulated.truth, class_index=classes)
    particles = read_run_particles(run)
    np.testing.assert_array_equal(particles.select(), [3])
    assert particles.view_counts().sum() == 1


def test_directions_are_counted_in_the_pixel_that_holds_them(run):
    particles = read_run_particles(run)
    counts = particles.view_counts(1, side=2)
    assert counts.sum() == N // 2
    nearest = np.argmax(particles.directions[1] @ pixel_directions(2).T)
    assert counts[nearest] >= 1


def test_micrographs_have_their_particles_and_mean_junk(run):
    particles = read_run_particles(run)
    counts, junk = particles.micrograph_table()
    assert counts.sum() == N
    first = particles.micrograph_index == 0
    assert counts[0] == first.sum()
    expected = particles.assignments.junk_probability[first].mean()
    assert junk[0] == pytest.approx(expected, rel=1e-6)


def test_excluded_particles_are_left_out(run, truth):
    _, simulated = truth
    record = run.read_record()
    run.write_record(dataclasses.replace(record, excluded=(0, 7)))
    kept = np.setdiff1d(np.arange(N), [0, 7])
    write_poses(run, simulated.truth.take(kept))
    particles = read_run_particles(run)
    np.testing.assert_array_equal(particles.particles.row, kept)
    assert read_gallery_images(particles, np.array([0])).correlation[0] > 0.5


def test_a_run_of_chosen_2d_classes_has_only_their_particles(run, truth):
    record = run.read_record()
    star = Path(record.particles)
    tables = starfile.read(star)
    tables["particles"]["rlnClassNumber"] = np.arange(N) % 4 + 1
    starfile.write(tables, star)
    files = ParticleFiles(star, classes_2d=(2, 3))
    digest = digest_particle_files(files)
    chosen = {"particles_sha256": digest, "classes_2d": (2, 3), "n_particles": N // 2}
    run.write_record(dataclasses.replace(record, **chosen))
    write_poses(run, truth[1].truth.take(np.isin(np.arange(N) % 4, (1, 2))))
    particles = read_run_particles(run)
    assert len(particles.particles) == N // 2
    assert read_gallery_images(particles, np.arange(N // 2)).correlation.min() > 0.5


def test_a_run_without_iterations_says_so(run):
    run.checkpoint_path.unlink()
    with pytest.raises(RunFolderError, match="no iteration of the run is done"):
        read_run_particles(run)


def test_a_particle_file_that_has_changed_is_refused(run):
    with open(run.read_record().particles, "a") as file:
        file.write("\n")
    with pytest.raises(RunFolderError, match="has changed since the run was started"):
        read_run_particles(run)


def test_a_checkpoint_of_other_particles_is_refused(run, truth):
    write_poses(run, truth[1].truth.take(np.arange(5)))
    with pytest.raises(RunFolderError, match="has 16 particles, but the run"):
        read_run_particles(run)


def test_a_damaged_checkpoint_is_named(run):
    run.checkpoint_path.write_bytes(b"damaged")
    with pytest.raises(RunFolderError, match=r"checkpoint\.npz cannot be read"):
        read_run_particles(run)


def test_a_map_in_a_larger_box_is_projected_in_that_of_the_images(truth, run):
    phantom, _ = truth
    volume = phantom.density(64, BOX * PIXEL / 64)
    write_history(run, 4, np.stack([volume, volume]), BOX * PIXEL / 64)
    found = read_gallery_images(read_run_particles(run), np.arange(4))
    assert found.reprojections.shape[-1] == BOX
    assert found.pixel_size == pytest.approx(PIXEL)
    assert found.correlation.min() > 0.5


def test_large_images_are_shrunk_as_their_reprojections(truth, run, monkeypatch):
    monkeypatch.setattr(gallery, "SIDE", 32)
    found = read_gallery_images(read_run_particles(run), np.arange(4))
    assert found.images.shape == found.reprojections.shape == (4, 32, 32)
    assert found.pixel_size == pytest.approx(BOX * PIXEL / 32)
    assert found.correlation.min() > 0.5


def with_particles(run, **changes):
    found = read_run_particles(run)
    return dataclasses.replace(found, particles=dataclasses.replace(found.particles, **changes))


def test_dark_particles_among_others_are_inverted_on_a_page_of_their_own(run):
    dark = np.arange(N) < 4
    mixed = with_particles(run, is_dark=dark)
    page = read_gallery_images(mixed, np.arange(4))
    plain = read_gallery_images(read_run_particles(run), np.arange(4))
    np.testing.assert_allclose(page.images, -plain.images)
    alike = with_particles(run, is_dark=np.ones(N, bool))
    np.testing.assert_array_equal(read_gallery_images(alike, np.arange(4)).images, plain.images)


def test_reprojections_have_the_square_of_the_ctf_of_premultiplied_images(run):
    found = read_run_particles(run)
    optics = tuple(
        dataclasses.replace(group, ctf_premultiplied=True) for group in found.particles.optics
    )
    plain = read_gallery_images(found, np.arange(4)).reprojections
    squared = read_gallery_images(with_particles(run, optics=optics), np.arange(4)).reprojections
    settings = found.record.settings.with_changes(ctf=False)
    record = dataclasses.replace(found.record, settings=settings)
    bare = dataclasses.replace(found, record=record)
    bare = read_gallery_images(bare, np.arange(4)).reprojections
    once, twice, none = (np.abs(np.fft.rfft2(a)) for a in (plain, squared, bare))
    np.testing.assert_allclose(twice * none, once**2, rtol=1e-3, atol=1e-4 * (once**2).max())


def test_reprojections_obey_the_setting_that_ignores_the_first_peak(run):
    found = read_run_particles(run)
    settings = found.record.settings.with_changes(ctf_ignore_first_peak=True)
    record = dataclasses.replace(found.record, settings=settings)
    kept = read_gallery_images(dataclasses.replace(found, record=record), np.arange(4))
    plain = read_gallery_images(found, np.arange(4))
    assert kept.reprojections.std() > 1.2 * plain.reprojections.std()


def test_only_the_particles_that_were_read_are_returned(run, monkeypatch):
    def read(_, index):
        return ImageBatch(index[1:], np.random.default_rng(0).normal(size=(3, BOX, BOX)))

    monkeypatch.setattr(gallery.StackReader, "read", read)
    found = read_gallery_images(read_run_particles(run), np.array([5, 6, 7, 8]))
    np.testing.assert_array_equal(found.index, [6, 7, 8])
    assert len(found.images) == len(found.reprojections) == 3
