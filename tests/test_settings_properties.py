"""Settings: whatever is given is refused in words, or survives settings.json and the command."""

import dataclasses
import json
import math

from fake_runs import make_record
from hypothesis import given, strategies as st
from properties import repeatable

from napari_ini3d.errors import SettingsError
from napari_ini3d.runs.commands import run_arguments
from napari_ini3d.runs.record import format_record, parse_record
from napari_ini3d.settings import InitialModelSettings, setting_types

KINDS = setting_types()
NUMBERS = {
    int: st.integers(-5, 5000) | st.integers() | st.sampled_from([10**400, -(10**400)]),
    float: st.floats(0, 1000) | st.floats() | st.sampled_from([math.inf, math.nan, 10**400]),
    bool: st.booleans(),
    str: st.sampled_from(["C1", "D2", "auto", "cpu", "gpu", "auto", "I"]) | st.text(max_size=8),
}


@st.composite
def changes(draw):
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=2, unique=True))
    kinds = ((name, KINDS[name]) for name in names)
    return {
        name: draw(st.none() | NUMBERS[kind.plain] if kind.optional else NUMBERS[kind.plain])
        for name, kind in kinds
    }


@repeatable
@given(changes())
def test_any_values_are_refused_or_survive_the_file_of_a_run(values):
    try:
        settings = InitialModelSettings(**values)
    except SettingsError:
        return
    numbers = [v for v in dataclasses.asdict(settings).values() if isinstance(v, (int, float))]
    assert all(map(math.isfinite, numbers))
    assert parse_record(format_record(make_record(settings=settings))).settings == settings
    words = run_arguments("particles.star", "run", settings)
    assert all(isinstance(word, str) for word in words)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@repeatable
@given(st.data())
def test_a_record_with_any_value_is_refused_or_read_with_that_value(data):
    record = json.loads(format_record(make_record()))
    table = record["settings"] if data.draw(st.booleans()) else record
    name = data.draw(st.sampled_from(sorted(table)))
    table[name] = data.draw(JSON)
    text = json.dumps(record)
    try:
        found = parse_record(text)
    except (ValueError, TypeError, KeyError, SettingsError):
        return  # `RunFolder.read_record` says what to do
    again = json.loads(format_record(found))
    given_value = json.loads(text)["settings"] if table is record["settings"] else json.loads(text)
    kept = again["settings"] if table is record["settings"] else again
    assert kept[name] == given_value[name] or name in ("settings_version", "tau2_fudge")
