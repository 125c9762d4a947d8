import numpy as np
import pytest

from napari_ini3d.engine.resolved_settings import ResolvedSettings, resolve_settings
from napari_ini3d.engine.schedule import (
    ImageGeometry,
    Phases,
    Plan,
    ScheduleInput,
    finer_start_radius,
    finest_radius,
    first_radius,
    plan_iteration,
)
from napari_ini3d.geometry.sampling import angular_step
from napari_ini3d.settings import InitialModelSettings

GEOMETRY = ImageGeometry(box_size=64, pixel_size=3.0, diameter=130.0, n_particles=5000)
SETTINGS = InitialModelSettings(mask_diameter=130.0)


def resolved(settings=SETTINGS, geometry=GEOMETRY) -> ResolvedSettings:
    return resolve_settings(settings, pixel_size=geometry.pixel_size)


def plan(
    phase,
    step=0,
    supported=31,
    visited=1.0,
    settings=SETTINGS,
    geometry=GEOMETRY,
    climbed=None,
    sigma_offset=5.0,
    start_radius=None,
) -> Plan:
    """Return a plan; the resolution has been allowed to rise in each step, if not said."""
    inputs = ScheduleInput(
        phase=phase,
        step=step,
        climbed=step if climbed is None else climbed,
        start_radius=start_radius or first_radius(resolved(settings, geometry), geometry),
        fsc_radius=supported,
        visited=visited,
        sigma_offset=sigma_offset,
    )
    return plan_iteration(inputs, resolved(settings, geometry), geometry)


def walk(
    settings: InitialModelSettings, geometry: ImageGeometry, supported: int = 1000
) -> list[Plan]:
    """Return the plans of a run whose halves agree up to `supported`."""
    phases = Phases.of(settings.iterations)
    lengths = {"starts": phases.starts, "search": phases.search, "refine": phases.refine}
    plans = [
        plan(phase, step, supported, 0.0 if phase == "starts" else 1.0, settings, geometry)
        for phase, length in lengths.items()
        for step in range(length)
    ]
    return [*plans, plan("final", 0, supported, 1.0, settings, geometry)]


@pytest.mark.parametrize("iterations", [2, 3, 10, 25, 80, 200])
def test_the_phases_and_the_final_pass_share_out_the_iterations(iterations):
    phases = Phases.of(iterations)
    assert phases.starts >= 1
    assert min(phases.search, phases.refine) >= 0
    assert phases.starts + phases.search + phases.refine + 1 == max(iterations, 2)


@pytest.mark.parametrize("iterations", [10, 25, 80, 200])
def test_every_phase_has_its_turn_in_a_run_of_ten_or_more(iterations):
    phases = Phases.of(iterations)
    assert min(phases.starts, phases.search, phases.refine) >= 1


@pytest.mark.parametrize("max_resolution", [None, 3.0, 6.5, 12.0, 30.0])
@pytest.mark.parametrize("pixel_size", [1.5, 3.0, 6.0])
@pytest.mark.parametrize("iterations", [3, 80])
def test_the_ladder_never_goes_beyond_the_limit_or_nyquist(max_resolution, pixel_size, iterations):
    settings = SETTINGS.with_changes(max_resolution=max_resolution, iterations=iterations)
    geometry = ImageGeometry(48, pixel_size, 130.0, 5000)
    for step in walk(settings, geometry):
        assert 2 <= step.radius < geometry.box_size / 2
        assert step.radius <= finest_radius(resolved(settings, geometry), geometry)
        assert step.coarse_radius <= step.radius
        reached = geometry.resolution_of(step.radius)
        assert reached >= max((max_resolution or 0) * (1 - 1e-9), 2 * pixel_size)


def test_the_ladder_rises_from_the_initial_resolution_as_far_as_the_run_may_go():
    radii = [step.radius for step in walk(SETTINGS, GEOMETRY)]
    assert radii == sorted(radii)
    assert radii[0] == GEOMETRY.radius_of(40.0)
    assert radii[-1] == finest_radius(resolved(), GEOMETRY)


@pytest.mark.parametrize("supported", [6, 10])
def test_the_ladder_waits_for_the_halves_to_agree(supported):
    held_back = max(step.radius for step in walk(SETTINGS, GEOMETRY, supported))
    assert held_back <= 1.5 * supported + 4
    assert held_back < finest_radius(resolved(), GEOMETRY)
    assert plan("search", 25, supported).radius <= supported + 2


@pytest.mark.parametrize("climbed", [0, 4, 12])
def test_resolution_and_subset_of_the_search_wait_while_it_may_not_climb(climbed):
    here = plan("search", climbed)
    for step in range(climbed, Phases.of(SETTINGS.iterations).longest_search):
        waiting = plan("search", step, climbed=climbed)
        assert waiting.radius == here.radius
        assert waiting.subset_size == here.subset_size
    later = plan("search", climbed + 12, climbed=climbed + 12)
    assert later.radius > here.radius
    assert later.subset_size > here.subset_size


@pytest.mark.parametrize("iterations", [2, 3, 10, 25, 80, 200])
def test_the_longest_search_leaves_half_of_the_refinement_and_the_final_pass(iterations):
    phases = Phases.of(iterations)
    left = max(iterations, 2) - phases.starts - phases.longest_search
    assert phases.longest_search >= phases.search
    assert left >= phases.refine / 2 + 1


@pytest.mark.parametrize("iterations", [10, 25, 80, 200, 2000])
def test_the_longest_search_is_at_most_two_and_a_half_times_its_own(iterations):
    phases = Phases.of(iterations)
    assert phases.longest_search <= 2.5 * phases.search + 0.5
    if iterations == 2000:  # the refinement is so long that half of it is no limit
        assert phases.longest_search == 2.5 * phases.search


@pytest.mark.parametrize("supported", [1, 5, 10, 20, 31])
def test_the_angular_step_follows_the_resolution(supported):
    for phase in ("search", "refine", "final"):
        found = plan(phase, 25, supported)
        useful = 57.3 * 2 * GEOMETRY.resolution_of(found.radius) / GEOMETRY.diameter
        assert found.finest_step <= max(1.6 * useful, angular_step(4))
        # nor is it finer than is of use, but for the grid it begins with
        assert found.finest_step >= min(useful / 2.1, 15.0)


@pytest.mark.parametrize("diameter", [110.0, 127.0, 136.0, 150.0, 250.0])
def test_the_angular_step_of_a_refinement_does_not_blur_what_its_half_sets_agree_on(diameter):
    # steps of 15 degrees, of which the half-sets of 136 Å agreed to 15.5 Å, compared up to 12 Å,
    # never gave way to those of 7.5 degrees that 12 Å need
    geometry = ImageGeometry(box_size=64, pixel_size=3.4, diameter=diameter, n_particles=500)
    settings = SETTINGS.with_changes(mask_diameter=diameter)
    for supported in range(4, 25):
        found = plan("refine", 5, supported, 1.0, settings, geometry)
        arc = np.deg2rad(found.finest_step / 2) * diameter / 2  # Å, at the rim, at the most
        agreed = geometry.resolution_of(supported)
        assert arc <= max(0.6 * agreed, np.deg2rad(angular_step(4) / 2) * diameter / 2)


def test_larger_particles_need_finer_steps():
    large = ImageGeometry(128, 3.0, 330.0, 5000)
    settings = SETTINGS.with_changes(mask_diameter=330.0)
    small_step = plan("search", 15, 20).finest_step
    assert plan("search", 15, 40, 1.0, settings, large).finest_step < small_step


@pytest.mark.parametrize("step", [30.0, 15.0, 7.5])
def test_no_grid_is_coarser_than_the_setting(step):
    settings = SETTINGS.with_changes(angular_step=step)
    assert all(p.finest_step <= step for p in walk(settings, GEOMETRY))


def test_the_final_pass_takes_all_particles_whole():
    final = plan("final")
    assert final.subset_size == GEOMETRY.n_particles
    assert final.step_size == 1.0
    assert final.two_pass


@pytest.mark.parametrize("n_particles", [1, 30, 300, 5000, 200_000, 3_000_000])
def test_subsets_grow_and_hold_no_more_than_there_is(n_particles):
    geometry = ImageGeometry(64, 3.0, 130.0, n_particles)
    sizes = [p.subset_size for p in walk(SETTINGS, geometry)]
    assert sizes == sorted(sizes)
    assert sizes[0] == min(n_particles, max(200, min(5000, round(0.005 * n_particles))))
    assert sizes[-1] == n_particles
    assert max(sizes[:-1]) <= 50_000


def test_shifts_are_searched_near_by_once_all_particles_have_been_visited():
    settings = SETTINGS.with_changes(offset_range=60.0)
    before = plan("refine", 0, 20, 0.5, settings)
    after = plan("refine", 0, 20, 1.0, settings)
    assert before.offset_range == 60.0
    assert after.offset_range < 60.0


@pytest.mark.parametrize(
    ("sigma_offset", "expected"),
    [(0.0, 20.0), (10.0, 20.0), (16.0, 32.0), (25.0, 50.0), (90.0, 50.0)],
)
def test_the_search_looks_two_spreads_of_the_shifts_far_but_not_beyond_two_and_a_half_ranges(
    sigma_offset, expected
):
    settings = SETTINGS.with_changes(offset_range=20.0)
    for visited in (0.0, 1.0):
        found = plan("search", 5, 20, visited, settings, sigma_offset=sigma_offset)
        assert found.offset_range == expected


@pytest.mark.parametrize("phase", ["starts", "refine", "final"])
def test_other_phases_look_as_far_as_the_setting_says(phase):
    settings = SETTINGS.with_changes(offset_range=20.0)
    assert plan(phase, 5, 20, 0.5, settings, sigma_offset=25.0).offset_range == 20.0


def test_the_offset_step_is_the_users_where_given():
    settings = SETTINGS.with_changes(offset_step=4.5)
    assert {p.offset_step for p in walk(settings, GEOMETRY)} == {4.5}
    two_pass = plan("refine", 0, 20, 1.0, settings)
    assert two_pass.finest_offset_step == 2.25


@pytest.mark.parametrize(("resolution", "radius"), [(1e4, 2), (40.0, 4), (0.1, 31)])
def test_radii_stay_between_two_and_nyquist(resolution, radius):
    assert GEOMETRY.radius_of(resolution) == radius
    assert GEOMETRY.resolution_of(4) == pytest.approx(48.0)


def test_finer_starts_begin_at_three_quarters_of_the_resolution_down_to_that_of_the_refinement():
    settings, radius = resolved(), first_radius(resolved(), GEOMETRY)
    radii = [radius]
    while (finer := finer_start_radius(radii[-1], settings, GEOMETRY)) > radii[-1]:
        radii.append(finer)
    reached = [GEOMETRY.resolution_of(r) for r in radii]
    assert reached[1] == pytest.approx(0.75 * reached[0], rel=0.1)
    assert 15.0 <= reached[-1] < 17.0


def test_finer_starts_stay_within_the_limit_of_the_run():
    settings = resolved(SETTINGS.with_changes(max_resolution=30.0))
    limit = finest_radius(settings, GEOMETRY)
    assert finer_start_radius(limit, settings, GEOMETRY) == limit


def test_the_search_is_nowhere_coarser_than_its_starts():
    assert plan("starts", start_radius=8).radius == 8
    assert plan("search", 0, start_radius=8).radius == 8
    assert plan("search", 29, start_radius=8).radius > 8
