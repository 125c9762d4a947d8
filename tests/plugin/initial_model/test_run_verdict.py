"""Verdict on the symmetry of a run that has ended."""

import json
from dataclasses import asdict
from weakref import ref

import pytest

pytest.importorskip("napari")

from napari_ini3d.plugin.initial_model import run_verdict
from napari_ini3d.plugin.initial_model.run_verdict import (
    RunVerdict,
    describe_symmetry,
    verdict_text,
)
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.record import RunRecord
from napari_ini3d.runs.symmetry_files import SymmetryFiles
from napari_ini3d.settings import InitialModelSettings

HOLDS = {"requested": "D2", "group": "D2", "holds": True, "verdict": "D2 holds to 14 Å"}


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
    widget = RunVerdict(ref(model))
    qtbot.addWidget(widget)
    return widget


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "✓ Symmetry: D2 holds to 14 Å"),
        ({"holds": False, "verdict": "D2 fails"}, "⚠ Symmetry: D2 fails"),
        ({"requested": "auto"}, "✓ Symmetry (detected): D2 holds to 14 Å"),
        (
            {"requested": "auto", "group": "C1", "holds": False, "verdict": "none"},
            "– Symmetry (detected): none",
        ),
    ],
)
def test_a_mark_shows_whether_the_group_holds(changes, text):
    assert verdict_text(HOLDS | changes) == text


def test_without_a_group_there_is_no_verdict(verdict, tmp_path):
    folder = RunFolder.create(tmp_path / "c1")
    folder.mark("SUCCESS")
    verdict.show_run(folder.path)
    assert verdict.isHidden()
    verdict.show_run(None)
    assert verdict.isHidden()


def test_an_untested_symmetry_is_reported_after_the_run(folder):
    assert describe_symmetry(folder) == ""
    folder.mark("SUCCESS")
    assert describe_symmetry(folder) == "⚠ Symmetry D2 was not tested; see the log for the reason"


def test_an_unreadable_symmetry_file_is_ignored(folder):
    SymmetryFiles(folder).facts_path.write_text("{")
    assert describe_symmetry(folder) == ""


def test_the_compare_button_is_shown_if_there_is_an_imposed_map(verdict, folder):
    files = SymmetryFiles(folder)
    files.write_facts(HOLDS)
    verdict.show_run(folder.path)
    assert not verdict.isHidden()
    assert verdict.compare.isHidden()
    files.symmetrised_path.touch()
    verdict.show_run(folder.path)
    assert not verdict.compare.isHidden()


def test_missing_maps_are_reported(verdict, folder, monkeypatch):
    notifications = []
    monkeypatch.setattr(run_verdict, "show_error", notifications.append)
    files = SymmetryFiles(folder)
    files.write_facts(HOLDS)
    files.symmetrised_path.touch()  # while the other two are missing
    verdict.show_run(folder.path)
    verdict.compare.click()
    assert "no map with a point group imposed" in notifications[0]
