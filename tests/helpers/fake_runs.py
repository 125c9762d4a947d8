"""Fake reports of iterations, and a fake engine."""

import time
from dataclasses import dataclass

import numpy as np

from napari_ini3d.engine.records import IterationReport
from napari_ini3d.io import write_map
from napari_ini3d.jobs import run as run_module
from napari_ini3d.particles import Assignments
from napari_ini3d.runs import IterationSummary, RunFolder, RunRecord, write_history
from napari_ini3d.settings import InitialModelSettings

BOX, VOXEL = 32, 4.0


@dataclass(frozen=True)
class FakeState:
    """A state whose only content is a number that grows by one at each iteration."""

    iteration: int
    volume: np.ndarray
    finished: bool = False
    searches_to_come: int = 0

    def to_arrays(self):
        return {
            "iteration": np.array(self.iteration),
            "engine/volume": self.volume,
            "finished": np.array(self.finished),
        }

    @classmethod
    def from_arrays(cls, arrays):
        return cls(int(arrays["iteration"]), arrays["engine/volume"], bool(arrays["finished"]))


def make_volume(sharpness=1.0, seed=0, box_size=BOX):
    """Return a map of two different blobs, so that slices differ along x, y and z."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[:box_size, :box_size, :box_size] - box_size // 2
    scale = box_size / 32
    first = np.exp(-((x - 4 * scale) ** 2 + y**2 + (z / 2) ** 2) * sharpness / (18 * scale**2))
    second = np.exp(-((x + 5 * scale) ** 2 + (y - 3 * scale) ** 2 + z**2) * sharpness / 9)
    return (first + second + 0.02 * rng.normal(size=x.shape)).astype(np.float32)


def make_assignments(n_particles, classes=1, junk=None):
    zeros = np.zeros(n_particles, np.float32)
    return Assignments(
        class_index=(np.arange(n_particles) % classes).astype(np.int32),
        rot=zeros,
        tilt=zeros,
        psi=zeros,
        origin_x=zeros,
        origin_y=zeros,
        max_probability=zeros + 0.5,
        n_significant=np.ones(n_particles, np.int32),
        log_likelihood=zeros,
        junk_probability=zeros if junk is None else np.asarray(junk, np.float32),
        scale=zeros + 1,
    )


def make_record(**changes):
    values = {
        "version": "0.2.0",
        "command": "ini3d run particles.star --output run",
        "started": "2026-01-01T00:00:00+00:00",
        "particles": "/data/particles.star",
        "particles_sha256": "0" * 64,
        "n_particles": 10,
        "settings": InitialModelSettings(mask_diameter=130.0),
    }
    return RunRecord(**(values | changes))


def make_report(iteration=1, n_iterations=20, *, classes=1, n_particles=12, state=None, **changes):
    share = iteration / n_iterations
    volumes = np.stack([make_volume(0.3 + share, seed=k) for k in range(classes)])
    shells = np.arange(BOX // 2 + 1)
    fsc = 1 / (1 + np.exp(shells - 4 - 8 * share))
    values = {
        "iteration": iteration,
        "n_iterations": n_iterations,
        "phase": "final" if iteration == n_iterations else "search",
        "volumes": volumes,
        "voxel_size": VOXEL,
        "resolution": np.full(classes, 40 - 25 * share, np.float32),
        "ssnr": np.tile(fsc / (1.0001 - fsc), (classes, 1)).astype(np.float32),
        "fsc": np.tile(fsc, (classes, 1)).astype(np.float32),
        "step_size": 0.9,
        "subset_size": 200,
        "current_size": 16,
        "angular_step": 15.0,
        "offset_range": 20.0,
        "offset_step": 4.0,
        "mean_max_probability": 0.2 + 0.5 * share,
        "class_shares": np.arange(classes, 0, -1) / (classes * (classes + 1) / 2),
        "view_counts": np.ones((classes, 48), np.float32),
        "map_change": np.full(classes, 0.5 / iteration, np.float32),
        "sigma2_noise": np.ones((1, BOX // 2 + 1), np.float32),
        "sigma_offset": 10.0,
        "start": 0,
        "message": "",
        "converged": False,
        "seconds": {"expectation": 0.5, "maximisation": 0.25},
        "assignments": make_assignments(n_particles, classes),
        "state": state or FakeState(iteration, volumes),
    }
    return IterationReport(**(values | changes))


def write_fake_run(path, n_iterations, *, classes=1):
    """Write a run folder with the maps of all iterations, and return it."""
    folder = RunFolder.create(path)
    folder.write_record(make_record())
    for iteration in range(1, n_iterations + 1):
        report = make_report(iteration, n_iterations, classes=classes)
        write_history(folder, iteration, report.volumes, report.voxel_size)
        folder.append_progress(IterationSummary.from_report(report).to_json())
        for k, volume in enumerate(report.volumes):
            write_map(folder.class_map_path(iteration, k), volume, report.voxel_size)
    return folder


def fake_reconstruct(source, particles, settings, *, state=None, stop=lambda: False, chunks=None):
    """Yield reports whose maps depend only on the state; check `stop` after each."""
    done = 0 if state is None else state.iteration
    volume = np.zeros((32, 32, 32), np.float32) if state is None else state.volume
    end = done if state is not None and state.finished else settings.iterations
    for iteration in range(done + 1, end + 1):
        rng = np.random.default_rng([settings.seed, iteration])
        volume = (0.5 * volume + make_volume(seed=int(rng.integers(1000)))).astype(np.float32)
        volumes = np.stack([volume * (k + 1) for k in range(settings.classes)])
        yield make_report(
            iteration,
            settings.iterations,
            classes=settings.classes,
            n_particles=len(particles),
            volumes=volumes,
            converged=iteration == settings.iterations,
            state=FakeState(iteration, volume, finished=iteration == settings.iterations),
        )
        if stop():
            return


def use_fake_engine(monkeypatch, seconds=0.0):
    """Replace the engine by a fake whose iterations take `seconds` each."""

    def reconstruct(*args, **kwargs):
        for report in fake_reconstruct(*args, **kwargs):
            time.sleep(seconds)
            yield report

    monkeypatch.setattr(run_module, "reconstruct", reconstruct)
    monkeypatch.setattr(run_module, "EngineState", FakeState)

    def write_report(folder, **_):
        folder.claim(folder.report_path)
        folder.report_path.touch()

    monkeypatch.setattr(run_module, "write_report", write_report)


def posed_particles(pixel_size, box_size):
    """The text of a STAR file with two particles that have poses."""
    return f"""
data_optics

loop_
_rlnOpticsGroup #1
_rlnImagePixelSize #2
_rlnImageSize #3
1 {pixel_size} {box_size}

data_particles

loop_
_rlnImageName #1
_rlnOpticsGroup #2
_rlnAngleRot #3
_rlnAngleTilt #4
_rlnAnglePsi #5
_rlnOriginXAngst #6
_rlnOriginYAngst #7
1@stack.mrcs 1 10.0 20.0 30.0 1.5 -2.5
2@stack.mrcs 1 -110.0 77.0 130.0 0.0 4.0
"""
