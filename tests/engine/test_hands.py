"""A map that mixes both hands comes to one of them."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from napari_ini3d.engine import hands
from napari_ini3d.engine.drift import Drift
from napari_ini3d.engine.hands import difference_from_mirror, separate_hands
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.state import HAND_TRIALS
from napari_ini3d.fourier import compute_fsc, mirror_map, rotate_map
from napari_ini3d.geometry import euler_to_matrix
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)

BOX, PIXEL_SIZE, RADIUS = 32, 5.0, 10
AGREE = np.full(BOX // 2 + 1, 0.95)  # FSC of half-sets: 0.974 of the whole set
ROTATION = euler_to_matrix(40.0, 70.0, 15.0)


@pytest.fixture(scope="module")
def one_hand():
    return make_phantom(seed=3, diameter=110.0, bead_width=1.5).density(BOX, PIXEL_SIZE)


@pytest.fixture(scope="module")
def mixed(one_hand):
    """Both hands, of which one is a little stronger, in any orientation."""
    return rotate_map(0.52 * one_hand + 0.48 * mirror_map(one_hand), ROTATION)


def test_a_map_of_one_hand_differs_from_its_mirror_image(one_hand):
    excess, _ = difference_from_mirror(one_hand, AGREE, RADIUS, threads=1)
    assert excess < -0.4


def test_a_mixed_map_agrees_with_its_mirror_image_as_noise_allows(mixed):
    excess, _ = difference_from_mirror(mixed, AGREE, RADIUS, threads=1)
    assert abs(excess) < 0.05


def test_the_difference_from_the_mirror_image_is_that_between_the_hands(one_hand, mixed):
    _, difference = difference_from_mirror(mixed, AGREE, RADIUS, threads=1)
    expected = 0.04 * rotate_map(one_hand - mirror_map(one_hand), ROTATION)
    fsc = compute_fsc(difference, expected)[3 : RADIUS + 1]
    assert abs(fsc).min() > 0.9
    assert difference.std() == pytest.approx(expected.std(), rel=0.2)


def test_only_shells_with_signal_are_compared(one_hand, mixed):
    flat = np.zeros(BOX // 2 + 1)
    assert difference_from_mirror(mixed, flat, RADIUS, threads=1)[0] == -1
    coarse = np.where(np.arange(BOX // 2 + 1) <= 2, 0.95, 0.1)
    excess, _ = difference_from_mirror(one_hand, coarse, RADIUS, threads=1)
    assert excess > -0.15  # up to 80 Å both hands look alike


def test_a_constant_map_has_no_hand():
    excess, difference = difference_from_mirror(np.zeros((BOX,) * 3, np.float32), AGREE, RADIUS)
    assert excess == -1
    assert not difference.any()


def situation(maps, phase="search", *, before=None, age=0, trials=HAND_TRIALS, diameter=125.0):
    """Return the arguments of `separate_hands` after an iteration."""
    geometry = SimpleNamespace(
        diameter=diameter, resolution_of=lambda radius: BOX * PIXEL_SIZE / radius
    )
    run = SimpleNamespace(geometry=geometry, settings=SimpleNamespace(threads=1))
    state = _State(
        phase=phase,
        hand_trials=trials,
        drift=dataclasses.replace(
            Drift.begin(maps, RADIUS), age=np.array(age), ratio=np.array(0.4)
        ),
        models=(_Model(maps),),
    )
    half_sets = tuple(SimpleNamespace(fsc=AGREE) for _ in maps)
    plan = SimpleNamespace(phase=before or phase, radius=RADIUS)
    outcome = SimpleNamespace(plan=plan, update=SimpleNamespace(half_sets=half_sets))
    return run, state, outcome


@dataclasses.dataclass(frozen=True)
class _Model:
    maps: np.ndarray


@dataclasses.dataclass(frozen=True)
class _State:
    phase: str
    hand_trials: int
    drift: Drift
    models: tuple


@pytest.mark.parametrize("phase", ["search", "refine"])
def test_the_difference_is_amplified_in_a_mixed_map(mixed, phase):
    run, state, outcome = situation(mixed[None], phase)
    after = separate_hands(run, state, outcome)
    amplified = after.models[0].maps[0]
    before, _ = difference_from_mirror(mixed, AGREE, RADIUS, threads=1)
    now, _ = difference_from_mirror(amplified, AGREE, RADIUS, threads=1)
    assert now < before - 0.005
    _, difference = difference_from_mirror(mixed, AGREE, RADIUS, threads=1)
    np.testing.assert_allclose(amplified, mixed + difference, rtol=0, atol=1e-5 * mixed.max())
    assert after.hand_trials == HAND_TRIALS - 1
    assert state.models[0].maps[0] is not amplified
    assert after.drift.ratio == 2  # no phase ends before the next measurement


def test_a_map_of_one_hand_is_left_as_it_is_and_never_compared_again(one_hand, monkeypatch):
    run, state, outcome = situation(one_hand[None])
    after = separate_hands(run, state, outcome)
    assert after.models is state.models
    assert after.drift is state.drift
    assert after.hand_trials == 0
    monkeypatch.setattr(hands, "difference_from_mirror", None)
    assert separate_hands(run, after, outcome) is after


def test_of_two_classes_only_the_mixed_one_is_changed(one_hand, mixed):
    run, state, outcome = situation(np.stack([one_hand, mixed]))
    after = separate_hands(run, state, outcome)
    np.testing.assert_array_equal(after.models[0].maps[0], one_hand)
    assert not np.array_equal(after.models[0].maps[1], mixed)
    assert after.hand_trials == HAND_TRIALS - 1


@pytest.mark.parametrize(
    "changes",
    [{"before": "starts"}, {"phase": "final"}, {"age": 2}, {"trials": 0}, {"diameter": 60.0}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_map_is_left_alone_where_nothing_was_measured_or_no_hand_can_be_seen(mixed, changes):
    run, state, outcome = situation(mixed[None], **changes)
    assert separate_hands(run, state, outcome) is state


def test_a_refinement_compares_the_images_with_the_amplified_map_and_reports_the_plain_one(mixed):
    simulation = SimulationSettings(number=60, box_size=BOX, pixel_size=PIXEL_SIZE, snr=1.0, seed=5)
    data = simulate_particles(make_phantom(seed=3, diameter=110.0, bead_width=1.5), simulation)
    settings = InitialModelSettings(mask_diameter=125.0, starts=1, iterations=12, threads=1)
    source = InMemorySource.of(data)
    state = next(reconstruct(source, data.particles, settings)).state
    model = dataclasses.replace(state.models[0].without_sums(), maps=mixed[None])
    drift = dataclasses.replace(Drift.begin(model.maps, RADIUS), age=np.array(2))
    begin = dataclasses.replace(
        state, phase="refine", fsc_radius=RADIUS, models=(model,), drift=drift
    )
    report = next(reconstruct(source, data.particles, settings, state=begin))
    plain, amplified = report.volumes[0], report.state.models[0].maps[0]
    _, difference = difference_from_mirror(
        plain, report.fsc[0], report.current_size // 2, threads=1
    )
    assert report.state.hand_trials == HAND_TRIALS - 1
    np.testing.assert_array_equal(amplified, plain + difference)
    assert report.state.drift.ratio >= 2
