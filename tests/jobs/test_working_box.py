"""Particles in boxes that are larger than a run needs: processed in smaller ones."""

import json

import numpy as np
import pytest
from fake_runs import BOX, VOXEL, FakeState, fake_reconstruct, posed_particles
from symmetry_phantoms import known_map

from napari_ini3d.fourier.resample import resize_map
from napari_ini3d.io.mrc.maps import read_map, write_map
from napari_ini3d.io.star.tables import read_tables
from napari_ini3d.jobs import run as run_module
from napari_ini3d.jobs.run import resume_run, start_run
from napari_ini3d.jobs.symmetry import apply_symmetry
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.symmetry_files import SymmetryFiles
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

OWN_BOX, OWN_PIXEL = 128, 1.0  # as wide as the maps of the stand-in for the engine
STAR = posed_particles(1.5, 96)
SETTINGS = InitialModelSettings(mask_diameter=100.0, iterations=3, write_every=1, threads=1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    settings = SimulationSettings(number=24, box_size=OWN_BOX, pixel_size=OWN_PIXEL)
    phantom = make_phantom(diameter=80.0)
    folder = tmp_path_factory.mktemp("data")
    return write_dataset(folder, simulate_particles(phantom, settings), phantom)


@pytest.fixture
def grids(monkeypatch):
    """Run a stand-in for the engine, and collect the grids of the images that it is given."""
    seen = []

    def reconstruct(source, particles, settings, **options):
        images = source.read(np.arange(2)).images
        seen.append((images.shape[-1], source.pixel_size))
        return fake_reconstruct(source, particles, settings, **options)

    monkeypatch.setattr(run_module, "reconstruct", reconstruct)
    monkeypatch.setattr(run_module, "EngineState", FakeState)
    monkeypatch.setattr(run_module, "write_report", lambda folder, **_: folder.report_path.touch())
    return seen


def stop_after_first(folder):
    return lambda: len(RunFolder(folder).read_progress()) >= 1


def test_the_engine_uses_a_smaller_box_and_the_result_that_of_the_particles(
    dataset, tmp_path, grids
):
    folder = tmp_path / "run"
    (*_, last) = start_run(dataset, folder, SETTINGS)
    assert grids == [(40, 3.2)]
    result, working = (
        read_map(folder / n) for n in ("initial_model.mrc", "run_it003_class001.mrc")
    )
    assert (working.data.shape[0], working.voxel_size) == (BOX, VOXEL)
    assert (result.data.shape[0], result.voxel_size) == (OWN_BOX, OWN_PIXEL)
    np.testing.assert_allclose(resize_map(result.data, BOX), last.volumes[0], atol=1e-4)
    message = "processed in a box of 40 pixels of 3.2 Å; the result is written in the box of the"
    assert message in (folder / "log.txt").read_text()


def test_a_resumed_run_uses_the_same_box(dataset, tmp_path, grids):
    list(start_run(dataset, tmp_path / "run", SETTINGS, stop=stop_after_first(tmp_path / "run")))
    list(resume_run(tmp_path / "run"))
    assert grids == [(40, 3.2), (40, 3.2)]
    assert read_map(tmp_path / "run" / "initial_model.mrc").data.shape[0] == OWN_BOX


def test_a_run_without_a_recorded_pixel_size_continues_in_the_box_of_the_particles(
    dataset, tmp_path, grids
):
    folder = tmp_path / "run"
    list(start_run(dataset, folder, SETTINGS, stop=stop_after_first(folder)))
    record = json.loads((folder / "settings.json").read_text())
    assert record.pop("working_pixel_size") == 3.2
    (folder / "settings.json").write_text(json.dumps(record))
    list(resume_run(folder))
    assert grids == [(40, 3.2), (OWN_BOX, OWN_PIXEL)]


def test_a_requested_resolution_is_kept(dataset, tmp_path, grids):
    list(start_run(dataset, tmp_path / "run", SETTINGS.with_changes(max_resolution=2.5)))
    assert grids == [(OWN_BOX, OWN_PIXEL)]
    record = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert record["working_pixel_size"] is None


def test_shifts_are_written_in_angstrom_for_any_box(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "write_report", lambda folder, **_: None)
    given = np.tile([[14.0, -9.0], [-14.0, 3.0], [0.0, 12.0]], (8, 1))
    text = dataset.read_text()
    rows = iter(given.tolist())
    lines = [
        f"{line} {' '.join(map(str, next(rows)))}" if "@" in line else line
        for line in text.replace(
            "_rlnDefocusAngle #6", "_rlnDefocusAngle #6\n_rlnOriginXAngst #7\n_rlnOriginYAngst #8"
        ).splitlines()
    ]
    star = dataset.with_name("shifted.star")
    star.write_text("\n".join(lines) + "\n")
    settings = SETTINGS.with_changes(iterations=2, starts=1, offset_range=0.0)
    list(start_run(star, tmp_path / "run", settings))
    assert read_map(tmp_path / "run" / "run_it002_class001.mrc").voxel_size == pytest.approx(3.2)
    _, written = read_tables(tmp_path / "run" / "run_it002_data.star")
    found = np.stack([np.asarray(written[f"rlnOrigin{a}Angst"], float) for a in "XY"], -1)
    # images are moved by whole pixels of 3.2 Å before the shifts that are left are sought
    assert np.abs(found - given).max() < 3.2 * 1.5 + 1e-3
    assert np.corrcoef(found.ravel(), given.ravel())[0, 1] > 0.97


def test_symmetry_is_searched_for_in_the_smaller_box_and_written_in_the_larger(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    small = known_map("C3", noise=0.5).volume
    large = 2 * small.shape[0]
    write_map(folder.map_path, resize_map(small, large), 1.5)
    folder.iteration_path(3, "data.star").write_text(STAR)
    settings = InitialModelSettings(symmetry="C3")
    apply_symmetry(folder, settings, 3, working_box=small.shape[0])
    files = SymmetryFiles(folder)
    facts = files.read_facts()
    assert facts["holds"]
    assert facts["validation"]["voxel_size"] == pytest.approx(3.0)
    aligned, imposed = (read_map(p) for p in (files.aligned_path, files.symmetrised_path))
    assert aligned.data.shape[0] == imposed.data.shape[0] == large
    assert aligned.voxel_size == imposed.voxel_size == 1.5
    assert np.corrcoef(aligned.data.ravel(), imposed.data.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("way", [{"scratch": "scratch"}, {"preread": True}])
def test_a_run_can_be_stopped_while_its_images_are_copied(dataset, tmp_path, grids, way):
    folder, looks = tmp_path / "run", []

    def stop():
        looks.append(folder.is_dir())
        return looks.count(True) > 0

    if "scratch" in way:
        way = {"scratch": str(tmp_path / "scratch")}
    assert list(start_run(dataset, folder, SETTINGS.with_changes(**way), stop=stop)) == []
    assert grids == []  # the engine was not begun
    assert RunFolder(folder).outcome() == "ABORTED"
    assert not list(tmp_path.glob("scratch/*"))
    assert [report.iteration for report in resume_run(folder)] == [1, 2, 3]


def test_scratch_has_the_resampled_images_and_is_used_by_a_resumed_run(dataset, tmp_path, grids):
    folder, scratch = tmp_path / "run", tmp_path / "scratch"
    settings = SETTINGS.with_changes(scratch=str(scratch))
    list(start_run(dataset, folder, settings, stop=stop_after_first(folder)))
    (images,) = scratch.iterdir()
    assert images.stat().st_size == 24 * (40**2 * 4 + 4)
    made = images.stat().st_ino
    list(resume_run(folder))
    assert grids == [(40, 3.2), (40, 3.2)]
    assert [path.stat().st_ino for path in scratch.iterdir()] == [made]
