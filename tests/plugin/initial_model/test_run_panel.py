"""Status and bar of a run that is validated, from what another process writes to its folder."""

import re

import pytest

pytest.importorskip("napari")

from dock_driver import until
from fake_runs import make_record, make_report, make_volume

from napari_ini3d.runs import (
    IterationSummary,
    RunFolder,
    RunLock,
    ValidationProgress,
    remove_validation_progress,
    write_newest_maps,
    write_validation_progress,
)


@pytest.fixture
def validated(tmp_path):
    """A run that goes on after its last iteration; the test writes to its folder."""
    folder = RunFolder.create(tmp_path / "run")
    lock = RunLock.acquire(folder.path)
    folder.write_record(make_record())
    for iteration in (1, 2, 3):
        report = make_report(
            iteration,
            phase="refine" if iteration < 3 else "final",
            converged=iteration == 3,
            seconds={"total": 2.0},
        )
        write_newest_maps(folder, iteration, make_volume()[None], 4.0)
        folder.append_progress(IterationSummary.from_report(report).to_json())
    yield folder, lock
    lock.release()


def test_the_bar_moves_during_the_validation_and_is_full_at_the_end(widget, validated, qtbot):
    folder, lock = validated
    panel, session = widget.panel, widget.session
    folder.log_path.write_text("2026-11-22 10:00:00 INFO    refining two half-sets\n")
    session.follow(folder.path)
    until(qtbot, lambda: session.summaries)
    until(qtbot, lambda: panel.bar.text().startswith("validation 0"))
    values = []
    for progress in (
        ValidationProgress("half-sets", 0.5),
        ValidationProgress("half-sets", 1.0),
        ValidationProgress("repeated search", 0.5),
    ):
        write_validation_progress(folder, progress)
        last = values[-1] if values else 0
        until(qtbot, lambda last=last: panel.bar.value() > last)
        values.append(panel.bar.value())
        assert panel.bar.text().startswith("validation ")
    assert values[-1] < panel.bar.maximum()
    text = panel.status.text()
    assert text.startswith("Last iteration (3) done · refining two half-sets")
    assert re.search(r"about .* left \(ends \d\d:\d\d\)", text)
    remove_validation_progress(folder)
    folder.log_path.write_text(folder.log_path.read_text() + "2026-11-22 10:01:00 INFO    done\n")
    until(qtbot, lambda: " done · done" in panel.status.text())
    assert panel.bar.value() == values[-1]  # it does not fall back when the file is removed
    folder.mark("SUCCESS")
    lock.release()
    until(qtbot, lambda: not session.busy)
    assert panel.bar.value() == panel.bar.maximum()
    assert panel.status.text().startswith("Finished after 3 iterations")


def test_a_run_that_is_validated_is_not_said_to_be_finished(widget, validated, viewer, qtbot):
    from napari_ini3d.plugin.convergence.dock import ConvergenceWidget

    folder, _ = validated
    convergence = ConvergenceWidget(viewer)
    viewer.window.add_dock_widget(convergence, name="Convergence")
    widget.session.follow(folder.path)
    until(qtbot, lambda: "not finished yet" in convergence.sentence.text())
    folder.mark("SUCCESS")
    widget.session.leave()
    until(qtbot, lambda: not widget.session.busy)
