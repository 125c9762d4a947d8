"""The field for a cluster: its test asks the workers in a process that can be cancelled."""

import threading
import time

import pytest

pytest.importorskip("napari")

from dock_driver import choose, press, until
from qtpy.QtGui import QDesktopServices

from napari_ini3d.errors import ClusterError, SettingsError
from napari_ini3d.plugin.initial_model import cluster_field
from napari_ini3d.plugin.initial_model.cluster_field import ClusterField
from napari_ini3d.plugin.session import ClusterAnswer, LogTail, ask_cluster
from napari_ini3d.plugin.session.cluster_query import describe_answer
from napari_ini3d.runs import RunFolder

pytestmark = pytest.mark.gui


@pytest.fixture
def field(qtbot):
    field = ClusterField(lambda: "", lambda: 1)
    qtbot.addWidget(field)
    field.show()
    return field


@pytest.fixture
def opened(monkeypatch):
    """The addresses that are opened in a browser."""
    found = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: found.append(url.toString()))
    return found


def test_a_cluster_that_is_written_wrongly_is_marked_and_not_asked(field, qtbot):
    field.line.setText("local:many")
    press(qtbot, field.test)
    assert "give the number of processes" in field.problem.text()
    assert not field.runner.busy
    with pytest.raises(SettingsError):
        field.checked()
    field.line.setText("local:2")
    assert not field.problem.isVisible()
    assert field.checked() == "local:2"


def test_without_a_cluster_a_run_is_one_of_this_machine(field, qtbot):
    assert field.checked() == ""
    press(qtbot, field.test)
    assert "no cluster is given; type one" in field.problem.text()


def test_the_answer_of_the_workers_and_their_problems_are_shown(field, qtbot, monkeypatch, opened):
    answer = ClusterAnswer(
        "2 workers, 4 threads", ("a: no stack; mount it",), "http://a:8787/status"
    )
    monkeypatch.setattr(cluster_field, "ask_cluster", lambda *args, **options: answer)
    field.line.setText("tcp://a:8786")
    press(qtbot, field.test)
    until(qtbot, lambda: not field.runner.busy, 5000)
    assert field.answer.text() == "2 workers, 4 threads"
    assert "a: no stack; mount it" in field.problem.text()
    press(qtbot, field.dashboard)
    assert opened == ["http://a:8787/status"]
    field.line.setText("tcp://b:8786")
    assert not field.answer.isVisible()
    assert field.find_dashboard() == ""


def test_a_cluster_that_does_not_answer_is_said_below_the_field(field, qtbot, monkeypatch):
    def refuse(*args, **options):
        raise ClusterError("the cluster tcp://a:1 does not answer; check its address")

    monkeypatch.setattr(cluster_field, "ask_cluster", refuse)
    field.line.setText("tcp://a:1")
    press(qtbot, field.test)
    until(qtbot, lambda: not field.runner.busy, 5000)
    assert "does not answer; check its address" in field.problem.text()


def test_a_test_is_cancelled_by_its_button(field, qtbot, monkeypatch):
    ended = threading.Event()

    def wait(*args, cancelled):
        while not cancelled():
            time.sleep(0.01)
        ended.set()

    monkeypatch.setattr(cluster_field, "ask_cluster", wait)
    field.line.setText("tcp://a:1")
    press(qtbot, field.test)
    assert field.test.text() == "Cancel"
    press(qtbot, field.test)
    assert ended.wait(5)
    assert field.test.text() == "Test"
    assert not field.answer.isVisible()


def test_the_dashboard_of_a_run_is_that_of_its_log(field, qtbot, opened):
    press(qtbot, field.dashboard)
    assert "no dashboard is known" in field.problem.text()
    log = LogTail()
    log.add(["2026-01-01 10:00:00 INFO    dashboard of the cluster: http://127.0.0.1:99/status"])
    field.watch(log)
    press(qtbot, field.dashboard)
    assert opened == ["http://127.0.0.1:99/status"]


def test_the_workers_of_this_machine_are_asked_by_a_process_of_its_own(few_particles):
    found = ask_cluster("local:1", few_particles, 1, cancelled=lambda: False)
    lines = found.text.splitlines()
    assert lines[0] == "1 workers, 1 threads"
    assert " GB" in lines[1]
    assert lines[2] == "all packages agree, and all stacks are seen"
    assert found.problems == ()
    assert found.dashboard == ""  # it has ended
    with pytest.raises(SettingsError, match="give the number of processes"):
        ask_cluster("local:x", None, 1, cancelled=lambda: False)
    assert ask_cluster("local:1", None, 1, cancelled=lambda: True) is None


def test_workers_are_counted_by_their_hosts():
    worker = {"host": "b", "threads": 2, "memory_bytes": 64e9, "gpu": "0", "missing": []}
    values = {
        "workers": [worker, worker | {"gpu": "1"}, worker | {"host": "a", "gpu": ""}],
        "threads": 6,
        "problems": ["a: x; y"],
        "dashboard": "http://a",
    }
    found = describe_answer(values, is_local=False)
    assert found.text.splitlines() == [
        "3 workers, 6 threads",
        "a: 2 threads, 64 GB",
        "b: 4 threads, 64 GB, GPU 0, 1",
    ]
    assert found.dashboard == "http://a"


@pytest.mark.slow
def test_a_run_from_the_form_is_computed_on_the_cluster_of_its_field(
    widget, few_particles, tmp_path, qtbot
):
    choose(widget, qtbot, few_particles)
    few = {"iterations": 4, "starts": 1, "threads": 1, "independent_half_sets": False}
    for name, value in few.items():
        widget.form.fields[name].value = value
    widget.form.output.text = str(tmp_path / "run")
    widget.form.cluster.line.setText("local:1")
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: not widget.session.busy, 60_000)
    folder = RunFolder(tmp_path / "run")
    assert folder.outcome() == "SUCCESS"
    assert "cluster: local:1" in folder.log_path.read_text(encoding="utf-8")
    assert widget.form.cluster.find_dashboard().startswith("http://127.0.0.1:")
