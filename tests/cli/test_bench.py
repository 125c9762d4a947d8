"""`ini3d bench` with a fake engine: times, counts, table and JSON file."""

import json
import re

import pytest
from fake_runs import FakeState, make_report
from typer.testing import CliRunner

from napari_ini3d.cli import bench, benchmark
from napari_ini3d.cli.app import app
from napari_ini3d.cli.benchmark import BenchSet, coarse_operations, run_benchmark
from napari_ini3d.engine.resolved_settings import resolve_settings
from napari_ini3d.engine.schedule import ImageGeometry, Phase, ScheduleInput, plan_iteration
from napari_ini3d.errors import DeviceError
from napari_ini3d.geometry.sampling import rotation_grid, shift_grid
from napari_ini3d.jobs import run as run_module
from napari_ini3d.kernels.backend import choose_backend
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import SimulationSettings

SMALL = BenchSet("quick", SimulationSettings(number=20, box_size=32, pixel_size=5.0, snr=5.0), 3)
STAGES = {"total": 0.5, "references": 0.1, "expectation": 0.375, "expectation/fine_pass": 0.25}


def schedule_input(phase: Phase, fsc_radius: int, visited: float) -> ScheduleInput:
    return ScheduleInput(
        phase=phase,
        step=0,
        climbed=0,
        start_radius=4,  # samples: 40 Å in a box of 32 pixels of 5 Å
        fsc_radius=fsc_radius,
        visited=visited,
        sigma_offset=10.0,
    )


class ScheduledState(FakeState):
    """A state with its place in the schedule, like the engine's."""

    schedule_input = schedule_input("search", 3, 1.0)


def reconstruct(source, particles, settings, *, state=None, stop=lambda: False, chunks=None):
    """Yield three reports, each with a time of half a second."""
    for iteration in (1, 2, 3):
        volume = make_report().volumes[0]
        yield make_report(
            iteration,
            3,
            n_particles=len(particles),
            subset_size=10,
            seconds=STAGES,
            converged=iteration == 3,
            state=ScheduledState(iteration, volume, finished=iteration == 3),
        )


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    monkeypatch.setattr(run_module, "reconstruct", reconstruct)
    monkeypatch.setattr(run_module, "EngineState", ScheduledState)
    monkeypatch.setattr(run_module, "write_report", lambda folder, **_: folder.report_path.touch())
    monkeypatch.setattr(benchmark, "_PROBE_SIZES", (64,))
    monkeypatch.setattr(bench, "QUICK", SMALL)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture(scope="module")
def small_result():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "reconstruct", reconstruct)
        patch.setattr(run_module, "EngineState", ScheduledState)
        patch.setattr(run_module, "write_report", lambda folder, **_: folder.report_path.touch())
        patch.setattr(benchmark, "_PROBE_SIZES", (64,))
        return run_benchmark(SMALL, device="cpu", threads=1)


def invoke(*arguments):
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def test_the_stages_of_all_iterations_are_added_up(small_result):
    seconds = small_result.seconds
    assert seconds["references"] == pytest.approx(0.3)
    assert seconds["expectation"] == pytest.approx(1.125)
    assert seconds["expectation/fine_pass"] == pytest.approx(0.75)
    assert list(seconds) == [
        "checks", "initialisation", "references", "expectation", "expectation/fine_pass",
        "iteration_files", "result_files",
    ]  # fmt: skip


def test_the_stages_without_their_parts_add_up_to_the_total_time(small_result):
    # the fake engine reports 0.5 s per iteration; its stages add up to 0.475 s
    whole = sum(value for name, value in small_result.seconds.items() if "/" not in name)
    assert whole + 3 * 0.025 == pytest.approx(small_result.total_seconds, abs=1e-6)


def test_images_and_iterations_are_counted(small_result):
    assert (small_result.iterations, small_result.images_compared) == (3, 30)
    assert small_result.images_compared_per_second == pytest.approx(30 / 1.125)
    assert small_result.particles_per_second == pytest.approx(20 / small_result.total_seconds)


def test_the_efficiency_is_the_work_over_what_the_products_could_do(small_result):
    settings = InitialModelSettings(mask_diameter=138, iterations=3)
    geometry = ImageGeometry(32, 5.0, 138.0, 20)
    resolved = resolve_settings(settings, pixel_size=geometry.pixel_size)
    first = plan_iteration(schedule_input("starts", 0, 0.0), resolved, geometry)
    later = plan_iteration(ScheduledState.schedule_input, resolved, geometry)
    work = 10 * (
        coarse_operations(first, settings.starts, geometry)
        + 2 * coarse_operations(later, 1, geometry)
    )
    assert small_result.coarse_pass_gflop == pytest.approx(work / 1e9)
    efficiency = work / 1e9 / small_result.matmul_gflops / 1.125
    assert small_result.matmul_efficiency == pytest.approx(efficiency)


def test_operations_equal_the_sum_over_all_poses():
    settings = InitialModelSettings(mask_diameter=138, iterations=30)
    geometry = ImageGeometry(32, 4.0, 138.0, 500)
    resolved = resolve_settings(settings, pixel_size=geometry.pixel_size)
    for phase, passes in (("starts", 2), ("search", 1)):
        plan = plan_iteration(schedule_input(phase, 4, 0.0), resolved, geometry)
        k = range(-16, 17)
        whole = [(x, y) for x in k for y in k if 0 < x * x + y * y <= plan.coarse_radius**2]
        components = len(whole) // 2  # the other half are their Friedel mates
        shifts = len(shift_grid(plan.offset_range / 4.0, plan.offset_step / 4.0))
        rotations = len(rotation_grid(plan.order).matrices)
        expected = passes * 3 * rotations * components * (4 * shifts + 2)
        assert coarse_operations(plan, 3, geometry) == expected


def test_a_matrix_product_is_timed_on_the_device(monkeypatch):
    rate = benchmark.matmul_rate(choose_backend("cpu"), 1)
    monkeypatch.setattr(benchmark, "_time_product", lambda a: 2.0)
    assert benchmark.matmul_rate(choose_backend("cpu"), 1) == 2 * 64**3 / 2.0
    assert rate > 1e6


def test_the_table_names_the_machine_and_the_stages(monkeypatch, small_result):
    monkeypatch.setattr(bench, "run_benchmark", lambda *args, **kwargs: small_result)
    result = invoke("--quick", "--device", "cpu", "--threads", 1)
    assert result.exit_code == 0, result.output
    text = " ".join(re.sub(r"[^\w%/().,: -]", " ", result.output).split())
    assert "20 particles of 32 x 32 pixels" in text
    for row in (
        "device cpu",
        "threads 1",
        "expectation 1.12 s",
        "fine pass 0.75 s",
        "iterations 3",
    ):
        assert row in text, row
    for words in (
        "load average at start",
        "GFLOP/s",
        "peak memory",
        "resolution (FSC 0.5 with the truth)",
        "whole run",
    ):
        assert words in text


def test_results_are_written_as_json(tmp_path, monkeypatch, small_result):
    monkeypatch.setattr(bench, "run_benchmark", lambda *args, **kwargs: small_result)
    result = invoke("--quick", "--threads", 1, "--json", tmp_path / "bench.json")
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "bench.json").read_text())
    names = [*values, *values["machine"], *values["seconds"]]
    assert [name for name in names if not re.fullmatch(r"[a-z_]+(/[a-z_]+)?", name)] == []
    assert values["particles"] == {"name": "quick", "number": 20, "box_size": 32, "pixel_size": 5.0}
    assert values["seconds"]["expectation"] == 1.125
    assert values["machine"]["threads"] == 1
    assert values["peak_rss_bytes"] > 50e6
    assert values["matmul_efficiency"] == pytest.approx(
        values["coarse_pass_gflop"] / values["matmul_gflops"] / 1.125, rel=2e-3
    )


def test_a_path_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(bench, "run_benchmark", lambda *args, **kwargs: pytest.fail("measured"))
    result = invoke("--quick", "--json", tmp_path / "nowhere" / "bench.json")
    assert result.exit_code == 1
    assert "cannot be written; give a file in a folder that exists" in result.output


def test_a_missing_device_is_refused(monkeypatch):
    def missing(device):
        raise DeviceError("no GPU was found")

    monkeypatch.setattr(benchmark, "choose_backend", missing)
    result = invoke("--quick", "--device", "gpu")
    assert result.exit_code == 1
    assert "no GPU was found" in result.output
