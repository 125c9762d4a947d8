"""A cluster of two processes gives the bits of threads, whatever happens to its workers."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import types
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_ini3d.cluster import DaskChunks, StackRecipe, chunks, connect, parse_spec
from napari_ini3d.engine import SourceSubset, chunks as engine_chunks
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.errors import ClusterError
from napari_ini3d.io import StackReader, read_particles
from napari_ini3d.jobs import resume_run, start_run
from napari_ini3d.runs import RunFolder
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

PIXEL_SIZE, BOX = 6.0, 24
SETTINGS = InitialModelSettings(
    mask_diameter=115.0, iterations=5, starts=2, device="cpu", threads=2, tile_size=7
)


@pytest.fixture(scope="module")
def data():
    settings = SimulationSettings(
        number=90, box_size=BOX, pixel_size=PIXEL_SIZE, snr=2.0, offset_sigma=4.0, seed=2
    )
    return simulate_particles(make_phantom(seed=3, diameter=100, domains=3), settings)


@pytest.fixture(scope="module")
def star(data, tmp_path_factory) -> Path:
    phantom = make_phantom(seed=3, diameter=100, domains=3)
    return write_dataset(tmp_path_factory.mktemp("particles"), data, phantom)


@pytest.fixture(scope="module")
def client():
    with connect(parse_spec("local:2"), 2) as found:
        yield found


@pytest.fixture(scope="module")
def expected(data) -> str:
    """Hash of the state that the threads of this process give."""
    return hash_run(data)


def hash_run(data, executor=None, **changes) -> str:
    source = InMemorySource.of(data)
    settings = SETTINGS.with_changes(**changes)
    *_, last = reconstruct(source, data.particles, settings, chunks=executor)
    return hash_state(last.state)


def hash_state(state) -> str:
    found = hashlib.sha256()
    for name, values in sorted(state.to_arrays().items()):
        found.update(name.encode() + np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def images_of(data):
    """A recipe that carries the few images of these tests."""
    return lambda keep_bytes: InMemorySource(data.images, PIXEL_SIZE)


class Disturbed:
    """A `ChunkExecutor` that does something to the cluster after some chunks."""

    device = "cpu"

    def __init__(self, chunks: DaskChunks, disturb, every: int) -> None:
        self._chunks, self._disturb, self._every = chunks, disturb, every
        self.seen = 0

    def prepare_references(self, run, state, plan):
        self._references = self._chunks.prepare_references(run, state, plan)
        self.tile_images = self._references.tile_images
        return self

    def sum_over_chunks(self, chunks):
        for found in self._references.sum_over_chunks(chunks):
            self.seen += 1
            if self.seen % self._every == 0:
                self._disturb()
            yield found


def kill(pids) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_two_processes_give_the_bits_of_threads_and_keep_nothing(data, client, expected):
    def runs_of_worker() -> int:  # local, so that workers need not import this module
        from napari_ini3d.cluster import worker

        return len(worker._runs) + len(worker._sources)

    with closing(DaskChunks(client, images_of(data))) as executor:
        assert hash_run(data, executor) == expected
        assert hash_run(data, executor, threads=1) == expected
    assert not client.futures
    assert client.run(runs_of_worker) == dict.fromkeys(client.nthreads(), 0)


def test_workers_that_add_whole_groups_give_the_bits_of_those_that_add_chunks(
    data, client, monkeypatch
):
    monkeypatch.setattr(engine_chunks, "CHUNKS_OF_GROUP", 2)
    alone, received = hash_run(data, tile_size=5), []
    for least_groups in (1, 1000):
        monkeypatch.setattr(engine_chunks, "_LEAST_GROUPS", least_groups)
        with closing(DaskChunks(client, images_of(data))) as executor:
            counted = Disturbed(executor, lambda: None, every=1)
            assert hash_run(data, counted, tile_size=5) == alone
            received.append(counted.seen)
    assert received[0] <= 0.6 * received[1]


def test_the_half_of_a_set_is_read_by_its_place_in_the_set(data, client):
    index = np.arange(1, 90, 2)
    source, half = SourceSubset(InMemorySource.of(data), index), data.particles.take(index)
    *_, alone = reconstruct(source, half, SETTINGS)
    with closing(DaskChunks(client, images_of(data))) as executor:
        *_, shared = reconstruct(source, half, SETTINGS, chunks=executor)
    assert hash_state(shared.state) == hash_state(alone.state)


@pytest.mark.thorough
@pytest.mark.slow
def test_workers_that_are_killed_one_after_the_other_change_no_bit(data, client, expected):
    killed = []

    def kill_one() -> None:
        pids = client.run(os.getpid, on_error="ignore")
        address = sorted(pids)[len(killed) % len(pids)]
        killed.append(pids[address])
        kill([pids[address]])

    with closing(DaskChunks(client, images_of(data))) as executor:
        assert hash_run(data, Disturbed(executor, kill_one, every=17)) == expected
    assert len(set(killed)) >= 3


@pytest.mark.slow
def test_an_iteration_goes_on_when_all_workers_were_killed_at_once(data, client, expected, caplog):
    done = []

    def kill_all() -> None:
        if not done:
            done.append(1)
            kill(client.run(os.getpid).values())

    with closing(DaskChunks(client, images_of(data))) as executor:
        assert hash_run(data, Disturbed(executor, kill_all, every=20)) == expected
    assert done


@pytest.mark.thorough
@pytest.mark.slow
def test_a_worker_that_comes_or_goes_in_mid_run_changes_no_bit(data, client, expected):
    sizes = iter([3, 1, 2])

    def scale() -> None:
        size = next(sizes, None)
        if size is not None:
            client.cluster.scale(size)
            client.wait_for_workers(size)

    with closing(DaskChunks(client, images_of(data))) as executor:
        assert hash_run(data, Disturbed(executor, scale, every=15)) == expected
    assert next(sizes, None) is None


def test_a_worker_that_does_not_see_a_stack_says_which_on_which_host(star, client):
    particles, _ = read_particles(star)
    missing = star.parent / "absent.mrcs"
    recipe = StackRecipe(
        particles=replace(particles, stack_paths=(missing,)), box_size=BOX, pixel_size=PIXEL_SIZE
    )
    with (
        closing(StackReader(particles)) as reader,
        closing(DaskChunks(client, recipe)) as executor,
        pytest.raises(ClusterError, match=rf"the worker on {socket.gethostname()}: .*absent\.mrcs"),
    ):
        next(reconstruct(reader, particles, SETTINGS, chunks=executor))


def test_a_worker_with_another_version_of_a_package_is_refused(data, client, monkeypatch):
    other = chunks.package_versions() | {"numba": "0.1"}
    monkeypatch.setattr(chunks, "package_versions", lambda: other)
    with (
        closing(DaskChunks(client, images_of(data))) as executor,
        pytest.raises(
            ClusterError, match=r"other packages are installed: numba .* instead of 0\.1"
        ),
    ):
        hash_run(data, executor)


def test_ctrl_c_in_the_terminal_leaves_the_workers_alone(client):
    def interrupt() -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return os.getpid()

    interrupted = client.run(interrupt)
    assert client.run(os.getpid) == interrupted


def test_a_worker_without_the_package_is_an_error_that_says_so(data, client, monkeypatch):
    module = types.ModuleType("only_here")
    exec("def open_images(keep_bytes): return None", vars(module))
    monkeypatch.setitem(sys.modules, "only_here", module)
    with (
        closing(DaskChunks(client, module.open_images)) as executor,
        pytest.raises(ClusterError, match=r"No module named 'only_here'.*same packages"),
    ):
        hash_run(data, executor)


def test_an_error_in_the_images_of_a_chunk_ends_the_run(data, client):
    some = data.images[:20]
    with (
        closing(DaskChunks(client, lambda _: InMemorySource(some, PIXEL_SIZE))) as executor,
        pytest.raises(IndexError, match="out of bounds"),
    ):
        hash_run(data, executor)


def test_the_memory_manager_drops_no_copies_while_a_run_is_connected(client):
    assert not client.amm.running()


def state_of(folder: Path) -> str:
    _, arrays = RunFolder.open(folder).read_checkpoint(None)
    found = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        found.update(name.encode() + np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler with two workers as processes of their own, and its file."""
    path = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    command += ["--port", "0", "--dashboard-address", ":0", "--scheduler-file", str(path)]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny"]
    worker += ["--scheduler-file", str(path), "--no-dashboard", "--death-timeout", "60"]
    worker += ["--local-directory", str(tmp_path)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ExitStack() as stack:
        processes = []

        def start(words) -> subprocess.Popen:
            process = subprocess.Popen(words, **quiet)
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
            return process

        found = start(command)
        while not path.exists():
            assert found.poll() is None
            time.sleep(0.1)
        for _ in range(2):
            start(worker)
        yield path, found


@pytest.mark.thorough
@pytest.mark.slow
def test_a_run_whose_scheduler_is_gone_is_resumed_on_one_machine_with_the_same_bits(
    star, scheduler, tmp_path, monkeypatch
):
    monkeypatch.setattr(chunks, "_PATIENCE", 3.0)
    path, process = scheduler
    settings = SETTINGS.with_changes(independent_half_sets=False)
    list(start_run(star, tmp_path / "alone", settings))
    reports = start_run(star, tmp_path / "run", settings, cluster=str(path))
    next(reports)
    next(reports)
    process.kill()
    with pytest.raises(ClusterError, match="scheduler of the cluster does not answer"):
        list(reports)
    folder = RunFolder.open(tmp_path / "run")
    assert folder.outcome() == "FAILURE"
    assert folder.read_checkpoint(None)[0] == 2
    list(resume_run(tmp_path / "run"))
    assert state_of(tmp_path / "run") == state_of(tmp_path / "alone")
