import dataclasses

import numpy as np
import pytest

from napari_ini3d.engine.drift import Drift
from napari_ini3d.engine.state import EngineState, ModelState
from napari_ini3d.particles import Assignments


def make_model(rng: np.random.Generator, classes: int = 2) -> ModelState:
    cube = (classes, 2, 5, 5, 4)
    return ModelState(
        maps=rng.standard_normal((classes, 6, 6, 6)).astype(np.float32),
        numerator=(rng.standard_normal(cube) + 1j * rng.standard_normal(cube)).astype(np.complex64),
        denominator=rng.random(cube).astype(np.float32),
        blended_numerator=rng.standard_normal(cube).astype(np.complex64),
        blended_denominator=rng.random(cube).astype(np.float32),
        sigma2=rng.random((3, 4)),
        class_shares=np.array([0.1, 0.9]),
        sigma_offset=np.array(11.5),
        evidence=rng.standard_normal(7),
        fsc_sum=rng.standard_normal(7),
    )


def make_drift(rng: np.random.Generator) -> Drift:
    return Drift(
        maps=rng.standard_normal((2, 6, 6, 6)).astype(np.float32),
        radius=np.array(5),
        age=np.array(2),
        ratio=np.array(1 / 3),
    )


def make_state(models: int = 3, phase="search") -> EngineState:
    rng = np.random.default_rng(1)
    n = 9
    assignments = Assignments(
        class_index=np.array([-1, 0, 1] * 3, np.int32),
        **{
            name: rng.standard_normal(n).astype(np.float32)
            for name in ("rot", "tilt", "psi", "origin_x", "origin_y")
        },
        max_probability=rng.random(n).astype(np.float32),
        n_significant=np.arange(n, dtype=np.int32),
        log_likelihood=rng.standard_normal(n).astype(np.float32),
        junk_probability=rng.random(n).astype(np.float32),
        scale=rng.uniform(0.5, 2, n).astype(np.float32),
    )
    states = tuple(make_model(rng) for _ in range(models))
    return EngineState(
        iteration=12,
        phase=phase,
        step=3,
        climbed=2,
        drawn=2400,
        start_radius=5,
        starts_tried=3,
        fsc_radius=7,
        typical_power=rng.random((3, 4)),
        drift=make_drift(rng),
        start_agreement=rng.random(3),
        models=states,
        assignments=assignments,
    )


@pytest.mark.parametrize("phase", ["starts", "search", "refine", "final"])
@pytest.mark.parametrize("models", [1, 3, 12])
def test_a_state_survives_a_file_bit_for_bit(tmp_path, models, phase):
    state = make_state(models, phase)
    path = tmp_path / "state.npz"
    np.savez(path, **state.to_arrays())
    with np.load(path, allow_pickle=False) as arrays:
        again = EngineState.from_arrays(dict(arrays))
    for name in ("iteration", "phase", "step", "climbed", "drawn", "fsc_radius"):
        assert getattr(again, name) == getattr(state, name)
        assert type(getattr(again, name)) is type(getattr(state, name))
    assert len(again.models) == models
    assert again.typical_power.tobytes() == state.typical_power.tobytes()
    assert again.start_agreement.tobytes() == state.start_agreement.tobytes()
    pairs = [(state.assignments, again.assignments), (state.drift, again.drift)]
    pairs += list(zip(state.models, again.models, strict=True))
    for old, new in pairs:
        for field in dataclasses.fields(old):
            before, after = getattr(old, field.name), getattr(new, field.name)
            assert before.dtype == after.dtype
            assert before.shape == after.shape
            assert before.tobytes() == after.tobytes()


def test_a_drift_that_was_not_yet_measured_survives_a_file(tmp_path):
    maps = np.ones((1, 6, 6, 6), np.float32)
    state = dataclasses.replace(make_state(), drift=Drift.begin(maps, 4))
    np.savez(tmp_path / "state.npz", **state.to_arrays())
    with np.load(tmp_path / "state.npz") as arrays:
        again = EngineState.from_arrays(dict(arrays)).drift
    assert np.isinf(again.ratio)
    assert (int(again.age), int(again.radius)) == (0, 4)
    assert np.array_equal(again.maps, maps)


def test_models_keep_their_order_beyond_ten():
    state = make_state(12)
    again = EngineState.from_arrays(state.to_arrays())
    for old, new in zip(state.models, again.models, strict=True):
        assert np.array_equal(old.maps, new.maps)


def test_a_state_without_an_array_is_refused():
    arrays = make_state().to_arrays()
    del arrays["models.1.sigma2"]
    with pytest.raises(KeyError, match="sigma2"):
        EngineState.from_arrays(arrays)


def test_the_schedule_is_told_the_fraction_of_visited_particles():
    inputs = make_state().schedule_input
    assert inputs.visited == pytest.approx(6 / 9)
    assert (inputs.phase, inputs.step, inputs.climbed, inputs.fsc_radius) == ("search", 3, 2, 7)


def test_the_schedule_is_told_the_spread_of_the_shifts():
    assert make_state().schedule_input.sigma_offset == 11.5


def test_a_run_is_finished_after_its_final_pass():
    assert not make_state(phase="search").finished
    assert make_state(phase="final").finished
    assert not dataclasses.replace(make_state(phase="final"), step=0).finished


def test_starts_are_compared_by_their_last_five_iterations():
    model = dataclasses.replace(
        make_model(np.random.default_rng(0)), evidence=np.array([100.0, 1, 2, 3, 4, 5])
    )
    assert model.recent_evidence == 3


CHANGES = {
    "counters": [lambda a: a - 99, lambda a: a.astype(float), lambda a: a[:5],
                 lambda a: np.where(np.arange(8) == 1, 7, a)],
    "typical_power": [lambda a: -a, lambda a: a[0]],
    "models.0.maps": [lambda a: a * np.nan, lambda a: a[..., :5], lambda a: a[:, :4, :4, :4],
                      lambda a: a.astype(int), lambda a: a[:0]],
    "models.1.maps": [lambda a: a[:1]],
    "models.0.numerator": [lambda a: a * np.inf, lambda a: a.real, lambda a: a[:, :1]],
    "models.0.denominator": [lambda a: a[..., :2], lambda a: a * np.nan],
    "models.0.sigma2": [lambda a: a[:2], lambda a: -a, lambda a: 0 * a],
    "models.0.class_shares": [lambda a: a * 0, lambda a: -a, lambda a: a[:1]],
    "models.0.sigma_offset": [lambda a: a * np.nan, lambda a: -a, lambda a: a[None]],
    "assignments.rot": [lambda a: a[:4], lambda a: a * np.nan, lambda a: a + 1e30],
    "assignments.class_index": [lambda a: a - 5, lambda a: a.astype(float), lambda a: a + 1],
    "assignments.n_significant": [lambda a: -a],
    "assignments.max_probability": [lambda a: a + 2, lambda a: -a],
    "assignments.junk_probability": [lambda a: a + 2],
    "assignments.scale": [lambda a: -a],
    "drift.age": [lambda a: a - 99],
}  # fmt: skip


def test_a_state_of_an_earlier_version_is_refused_with_the_reason():
    arrays = make_state().to_arrays()
    arrays["counters"] = arrays["counters"][:6]
    with pytest.raises(ValueError, match="from an earlier version"):
        EngineState.from_arrays(arrays)


def test_a_state_without_the_scale_of_the_images_is_of_an_earlier_version():
    arrays = make_state().to_arrays()
    del arrays["assignments.scale"]
    with pytest.raises(ValueError, match="from an earlier version"):
        EngineState.from_arrays(arrays)


def test_a_state_that_was_written_is_accepted():
    for models in (1, 3):
        EngineState.from_arrays(make_state(models).to_arrays())


@pytest.mark.parametrize(
    ("name", "number"), [(name, i) for name, some in CHANGES.items() for i in range(len(some))]
)
def test_an_array_of_another_type_shape_or_range_is_refused(name, number):
    arrays = make_state().to_arrays()
    arrays[name] = CHANGES[name][number](arrays[name])
    with pytest.raises(ValueError, match=name.rpartition(".")[0] or name):
        EngineState.from_arrays(arrays)


@pytest.mark.parametrize("name", ["counters", "models.1.maps", "drift.ratio", "assignments.psi"])
def test_a_missing_array_is_refused(name):
    arrays = make_state().to_arrays()
    del arrays[name]
    with pytest.raises(KeyError, match=name):
        EngineState.from_arrays(arrays)


def test_a_state_without_its_first_model_is_refused():
    arrays = make_state().to_arrays()
    arrays = {name: a for name, a in arrays.items() if not name.startswith("models.0.")}
    with pytest.raises(ValueError, match="models are missing"):
        EngineState.from_arrays(arrays)
