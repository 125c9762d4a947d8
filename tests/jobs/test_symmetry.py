"""Symmetry after a run: alignment, imposing, validation, and the particles."""

import json
import logging

import numpy as np
import pytest
from fake_runs import posed_particles
from symmetry_phantoms import VOXEL, known_map

from napari_ini3d.geometry.euler import euler_to_matrix
from napari_ini3d.io.mrc.maps import read_map, write_map
from napari_ini3d.io.star.tables import read_tables
from napari_ini3d.jobs import symmetry as symmetry_module
from napari_ini3d.jobs.symmetry import apply_symmetry
from napari_ini3d.report import page as page_module
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.symmetry_files import SymmetryFiles
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.symmetry.impose import impose_symmetry

ITERATION = 7
STAR = posed_particles(3.0, 48)


@pytest.fixture
def run(tmp_path):
    """Return a function that makes the folder of a finished run with a map."""

    def make(group, **changes):
        folder = RunFolder.create(tmp_path / "run")
        write_map(folder.map_path, known_map(group, **changes).volume, VOXEL)
        folder.iteration_path(ITERATION, "data.star").write_text(STAR)
        return SymmetryFiles(folder)

    return make


def finish(files, symmetry, **changes):
    settings = InitialModelSettings(symmetry=symmetry, **changes)
    apply_symmetry(files.folder, settings, ITERATION)
    return files.read_facts()


def poses(path):
    _, particles = read_tables(path)
    angles = [np.asarray(particles[f"rlnAngle{n}"], float) for n in ("Rot", "Tilt", "Psi")]
    return euler_to_matrix(*angles)


def test_the_map_is_aligned_and_imposed_and_the_particles_are_rotated_with_it(run):
    files = run("D2", noise=0.5)
    facts = finish(files, "D2")
    assert facts["holds"]
    assert facts["verdict"].startswith("D2 holds to")
    aligned, imposed = (read_map(p) for p in (files.aligned_path, files.symmetrised_path))
    np.testing.assert_allclose(
        imposed.data, impose_symmetry(aligned.data, "D2"), atol=1e-4 * imposed.data.std()
    )
    assert np.corrcoef(aligned.data.ravel(), imposed.data.ravel())[0, 1] > 0.8
    rotation = np.array(facts["alignment"]["rotation"])
    before = poses(files.folder.iteration_path(ITERATION, "data.star"))
    np.testing.assert_allclose(poses(files.particles_path), before @ rotation.T, atol=1e-5)


def test_auto_finds_the_group(run):
    facts = finish(run("C3", noise=0.5), "auto")
    assert (facts["requested"], facts["group"]) == ("auto", "C3")
    assert facts["detected"]["candidates"][0]["group"] == "C3"


def test_auto_leaves_a_map_without_symmetry_as_it_is(run):
    files = run("C1")
    facts = finish(files, "auto")
    assert facts["group"] == "C1"
    assert not facts["holds"]
    assert files.picture_path.is_file()
    assert not files.aligned_path.exists()


def test_a_group_that_does_not_hold_is_written_with_a_warning(run, caplog):
    files = run("C3", noise=0.5)
    with caplog.at_level(logging.WARNING):
        facts = finish(files, "D2")
    assert not facts["holds"]
    assert "does not hold" in caplog.text
    assert files.symmetrised_path.is_file()


@pytest.mark.parametrize(("symmetry", "during"), [("C1", False), ("D2", True)])
def test_a_run_without_symmetry_writes_nothing_and_removes_old_files(run, symmetry, during):
    files = run("D2")
    files.write_facts({"group": "old"})
    files.folder.claim(files.aligned_path)
    files.aligned_path.touch()
    assert finish(files, symmetry, symmetry_during_run=during) is None
    assert not files.aligned_path.exists()


def test_a_map_that_cannot_be_searched_does_not_fail_the_run(run, caplog):
    files = run("D2")
    write_map(files.folder.map_path, np.zeros((32, 32, 32)), VOXEL)
    with caplog.at_level(logging.WARNING):
        assert finish(files, "D2") is None
    assert "could not be analysed" in caplog.text


def test_the_facts_are_plain_json(run):
    files = run("C3")
    finish(files, "C3")
    json.loads(files.facts_path.read_text(), parse_constant=lambda name: pytest.fail(name))


def test_the_report_shows_picture_and_verdict(run):
    files = run("C3")
    facts = finish(files, "C3")

    section = page_module._symmetry(files.folder)
    assert facts["verdict"].split(";")[0] in section
    assert "data:image/png;base64," in section
    assert files.symmetrised_path.name in section


def test_the_threads_of_the_settings_are_those_of_the_symmetry(run, monkeypatch):
    asked = []

    def record(function):
        def recorded(*arguments, threads, **options):
            asked.append(threads)
            return function(*arguments, threads=threads, **options)

        return recorded

    for name in ("detect_symmetry", "align_symmetry", "validate_symmetry"):
        monkeypatch.setattr(symmetry_module, name, record(getattr(symmetry_module, name)))
    assert finish(run("D2"), "auto", threads=2)["group"] == "D2"
    assert asked == [2, 2, 2]
