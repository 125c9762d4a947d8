"""An iteration is shown in one step with its meshes."""

import threading

import pytest
from fake_runs import make_report, make_volume

from napari_ini3d.plugin.session import mesh_preparation
from napari_ini3d.plugin.session.mesh_preparation import MeshPreparation
from napari_ini3d.plugin.session.session import RunSession
from napari_ini3d.plugin.session.worker import Progress
from napari_ini3d.plugin.viewer.map_meshes import MapMeshes
from napari_ini3d.runs.summary import IterationSummary


def progress_of(iteration):
    report = make_report(iteration, volumes=make_volume(seed=iteration)[None], voxel_size=2.0)
    return Progress(IterationSummary.from_report(report), report.volumes)


class SlowRequest:
    def __init__(self):
        self.go_on = threading.Event()

    def compute(self, _):
        self.go_on.wait(10)
        return "mesh"


class FailingRequest:
    def compute(self, _):
        raise ValueError("no mesh")


@pytest.fixture
def shown():
    return []


@pytest.fixture
def preparation(qtbot, shown):
    return MeshPreparation(lambda progress, meshes: shown.append((progress, meshes)))


def test_of_the_iterations_that_wait_only_the_newest_is_shown(preparation, shown, qtbot):
    slow = SlowRequest()
    first, *_, last = steps = [progress_of(i) for i in range(1, 4)]
    for progress in steps:
        preparation.show(progress, {0: slow})
    assert shown == []
    slow.go_on.set()
    qtbot.waitUntil(lambda: len(shown) == 2, timeout=10_000)
    assert shown == [(first, {0: "mesh"}), (last, {0: "mesh"})]


def test_a_mesh_that_cannot_be_made_does_not_keep_its_map_from_being_shown(
    preparation, shown, qtbot
):
    progress = progress_of(1)
    preparation.show(progress, {0: FailingRequest()})
    qtbot.waitUntil(lambda: shown == [(progress, {})], timeout=10_000)


def test_nothing_is_shown_after_cancelling(preparation, shown, qtbot):
    slow = SlowRequest()
    preparation.show(progress_of(1), {0: slow})
    preparation.cancel()
    slow.go_on.set()
    qtbot.wait(200)
    assert shown == []


@pytest.mark.meshes
def test_values_caption_and_mesh_change_in_one_step(viewer, qtbot, tmp_path, monkeypatch):
    session = RunSession.of(viewer)

    def show(progress):
        session._meshes.show(progress, session.layers.mesh_requests(progress))

    session.layers.begin(tmp_path / "run")
    show(progress_of(1))
    (layer, mesh) = viewer.layers
    qtbot.waitUntil(lambda: not MapMeshes.of(viewer).find(layer).busy, timeout=60_000)
    before, slow = mesh.data, threading.Event()
    compute = mesh_preparation._compute
    monkeypatch.setattr(
        mesh_preparation, "_compute", lambda *given: (slow.wait(10), compute(*given))[1]
    )
    states = []
    overlay = viewer.canvas.overlays.text
    show(progress_of(2))
    qtbot.wait(100)
    assert "iteration 1" in overlay.text, "the caption is that of the mesh above it"
    assert mesh.data is before or len(mesh.data[0]) == len(before[0])
    mesh.events.set_data.connect(lambda _: states.append(layer.metadata["ini3d"]["iteration"]))
    slow.set()
    qtbot.waitUntil(lambda: "iteration 2" in overlay.text, timeout=10_000)
    assert not MapMeshes.of(viewer).find(layer).busy
    assert set(states) == {2}
