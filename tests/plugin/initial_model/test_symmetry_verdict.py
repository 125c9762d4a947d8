"""What the dock says about the symmetry of a run that has ended."""

import json
from dataclasses import asdict
from weakref import ref

import pytest

pytest.importorskip("napari")

from napari_ini3d.plugin.initial_model import symmetry_verdict
from napari_ini3d.plugin.initial_model.symmetry_verdict import (
    SymmetryVerdict,
    describe_symmetry,
    verdict_text,
)
from napari_ini3d.runs.folder import RunFolder, RunRecord
from napari_ini3d.runs.symmetry_files import SymmetryFiles
from napari_ini3d.settings import InitialModelSettings

HOLDS = {"asked": "D2", "group": "D2", "holds": True, "verdict": "D2 holds to 14 Å"}


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    record = RunRecord(
        version="1",
        command="",
        started="",
        particles="particles.star",
        particles_sha256="",
        n_particles=1,
        settings=InitialModelSettings(symmetry="D2"),
    )
    folder.settings_path.write_text(json.dumps(asdict(record)))
    return folder


@pytest.fixture
def verdict(model, qtbot):
    widget = SymmetryVerdict(ref(model))
    qtbot.addWidget(widget)
    return widget


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "✓ Symmetry: D2 holds to 14 Å"),
        ({"holds": False, "verdict": "D2 fails"}, "⚠ Symmetry: D2 fails"),
        ({"asked": "auto"}, "✓ Symmetry (detected): D2 holds to 14 Å"),
        (
            {"asked": "auto", "group": "C1", "holds": False, "verdict": "none"},
            "– Symmetry (detected): none",
        ),
    ],
)
def test_a_mark_tells_whether_the_group_holds(changes, text):
    assert verdict_text(HOLDS | changes) == text


def test_a_run_without_a_group_says_nothing(verdict, tmp_path):
    folder = RunFolder.create(tmp_path / "c1")
    folder.mark("SUCCESS")
    verdict.show_run(folder.path)
    assert verdict.isHidden()
    verdict.show_run(None)
    assert verdict.isHidden()


def test_a_group_that_could_not_be_looked_at_is_said_once_the_run_has_ended(folder):
    assert describe_symmetry(folder) == ""
    folder.mark("SUCCESS")
    assert describe_symmetry(folder) == "⚠ Symmetry D2 was not tested; see the log for the reason"


def test_facts_that_cannot_be_read_are_as_none(folder):
    SymmetryFiles(folder).facts_path.write_text("{")
    assert describe_symmetry(folder) == ""


def test_maps_are_compared_where_there_are_some(verdict, folder):
    files = SymmetryFiles(folder)
    files.write_facts(HOLDS)
    verdict.show_run(folder.path)
    assert not verdict.isHidden()
    assert verdict.compare.isHidden()
    files.symmetrised_path.touch()
    verdict.show_run(folder.path)
    assert not verdict.compare.isHidden()


def test_maps_that_are_gone_are_told(verdict, folder, monkeypatch):
    said = []
    monkeypatch.setattr(symmetry_verdict, "show_error", said.append)
    files = SymmetryFiles(folder)
    files.write_facts(HOLDS)
    files.symmetrised_path.touch()  # while the other two are missing
    verdict.show_run(folder.path)
    verdict.compare.click()
    assert "no map with a point group imposed" in said[0]
