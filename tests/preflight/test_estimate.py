"""Estimate of a run: phases, workers, and from how many particles they help."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from napari_ini3d.cli.app import app
from napari_ini3d.engine import CHUNKS_OF_GROUP, ImageGeometry, resolve_settings
from napari_ini3d.errors import InputError
from napari_ini3d.preflight import WORKERS, estimate_run
from napari_ini3d.preflight.phase_times import Pace, estimate_phases, pays_from
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

SETTINGS = InitialModelSettings(mask_diameter=130.0, threads=2, device="cpu")
GEOMETRY = ImageGeometry(64, 3.4, 130.0, 200_000)
PACE = Pace(image=1e-4, operation=1e-11, fine=1e-3, references=1e-9, maps=0.1)
PACES = dict.fromkeys(("starts", "search", "refine"), PACE)


def phases(geometry=GEOMETRY, paces=PACES, **changes):
    resolved = resolve_settings(SETTINGS.with_changes(**changes), pixel_size=geometry.pixel_size)
    return {phase.name: phase for phase in estimate_phases(geometry, resolved, paces, 1e-3)}


def test_the_parts_of_a_run_are_those_of_its_settings():
    found = phases()
    assert list(found) == [
        *("checks", "connection", "starts", "search", "refine", "final"),
        *("half-sets", "repeated search"),
    ]
    assert found["final"].images == 200_000
    assert "repeated search" not in phases(classes=2)
    assert "half-sets" not in phases(independent_half_sets=False)


def test_workers_share_the_images_and_nothing_else():
    found = phases()
    final = found["final"]
    ((chunks, sum_seconds),) = final.chunks
    groups = chunks // CHUNKS_OF_GROUP
    alone, sent = final.seconds(2) + final.messages, groups * sum_seconds
    assert final.seconds(2, 1) == pytest.approx(alone + sent)
    sent = chunks * sum_seconds  # of single chunks
    fixed = final.fixed + final.messages + sent
    assert final.seconds(2, 10**6) == pytest.approx(fixed, rel=0.01)
    assert found["checks"].seconds(2, 8) == found["checks"].seconds(2)
    assert found["connection"].seconds(2) == 0 < found["connection"].seconds(2, 8)


def test_the_final_pass_gains_more_from_workers_than_the_starts():
    found = phases()
    gain = {name: found[name].seconds(2) / found[name].seconds(2, 8) for name in found}
    assert gain["final"] > 3
    assert gain["final"] > gain["starts"]


def test_workers_pay_from_fewer_particles_where_an_image_takes_longer():
    def pays(pace):
        resolved = resolve_settings(SETTINGS, pixel_size=GEOMETRY.pixel_size)
        return pays_from(GEOMETRY, resolved, dict.fromkeys(PACES, pace), 0.0, 2)

    slow, usual = pays(replace(PACE, operation=1e-9)), pays(PACE)
    assert slow < usual
    assert pays(replace(PACE, operation=0.0, fine=0.0, image=0.0)) is None


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    settings = SimulationSettings(number=60, box_size=32, pixel_size=6.0, snr=1.0)
    phantom = make_phantom(diameter=100.0)
    folder = tmp_path_factory.mktemp("particles")
    return write_dataset(folder, simulate_particles(phantom, settings), phantom)


def test_a_run_is_estimated_from_a_short_one_on_its_particles(star):
    settings = SETTINGS.with_changes(mask_diameter=None, iterations=20, starts=2)
    found = estimate_run(star, settings)
    assert found.measured_images == found.geometry.n_particles == 60
    assert 80 < found.geometry.diameter < 192
    assert all(phase.seconds(2) > 0 for phase in found.phases if phase.name != "connection")
    assert found.seconds() == pytest.approx(sum(phase.seconds(2) for phase in found.phases))
    assert found.memory_bytes > 8e8


def test_particles_that_cannot_be_used_are_an_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        estimate_run(tmp_path / "absent.star", SETTINGS)


def test_an_estimate_is_printed_and_nothing_is_run(star, tmp_path):
    words = ["run", str(star), "--output", str(tmp_path / "run"), "--estimate", "--starts", "1"]
    words += ["--iterations", "6", "--threads", "1"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    rows = [line.split()[0] for line in result.stdout.splitlines() if line.strip()]
    assert {"checks", "starts", "search", "total", "Memory:", "Cluster:"} <= {*rows}
    result = CliRunner().invoke(app, [*words, "--json"])
    event = json.loads(result.stdout)
    assert event["event"] == "estimated"
    assert {*event["seconds"]} == {"0", *map(str, WORKERS)}
    assert not (tmp_path / "run").exists()
