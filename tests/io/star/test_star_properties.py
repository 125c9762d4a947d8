"""STAR files: what is written is read, the layout does not matter, no row is dropped in silence."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from properties import repeatable

from napari_ini3d.errors import StarError
from napari_ini3d.io import read_particles
from napari_ini3d.io.star.format import write_tables
from napari_ini3d.io.star.tables import read_tables

LABELS = st.from_regex(r"rln[A-Z][A-Za-z]{0,8}", fullmatch=True).filter(
    lambda label: not label.endswith("Name")
)
TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\n\r\x85\u2028\u2029"),
    max_size=10,
)
PLAIN = "data_particles\n\nloop_\n_rlnImageName\n_rlnValue\n"


@st.composite
def tables(draw):
    n = draw(st.integers(1, 5))
    names = draw(st.lists(LABELS, max_size=3, unique=True))
    columns = {"rlnImageName": np.array([f"{i + 1}@s.mrcs" for i in range(n)], object)}
    for name in names:
        kind = draw(st.sampled_from(["float", "int", "text"]))
        if kind == "text":
            cells = draw(st.lists(TEXT, min_size=n, max_size=n))
            columns[f"{name}Name"] = np.array(cells, object)
        elif kind == "int":
            columns[name] = np.array(draw(st.lists(INTEGERS, min_size=n, max_size=n)), np.int64)
        else:
            cells = draw(st.lists(FLOATS, min_size=n, max_size=n))
            columns[name] = np.array(cells, np.float64)
    return columns


INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)


@repeatable
@given(tables())
def test_any_table_is_read_as_it_was_written(tmp_path, columns):
    write_tables(tmp_path / "t.star", {"particles": columns})
    found = read_tables(tmp_path / "t.star")[1]
    assert list(found) == list(columns)
    for name, column in columns.items():
        if column.dtype.kind == "f":  # twelve digits are written
            np.testing.assert_allclose(found[name].astype(float), column, rtol=1e-11, atol=1e-12)
        else:
            assert found[name].tolist() == column.tolist()


ROWS = st.lists(
    st.sampled_from(
        [
            "{}@s.mrcs 1.5",
            "  {}@s.mrcs\t1.5  ",
            "'{}@s.mrcs' 1.5",
            '"{}@s.mrcs" 1.5 ',
            "{}@s.mrcs 1.5\r",
            "",
            "   ",
            "# a comment",
            "#",
        ]
    ),
    max_size=8,
)


@repeatable
@given(ROWS)
def test_blank_lines_comments_quotes_and_blanks_drop_no_row(tmp_path, lines):
    rows = [line.format(i) for i, line in enumerate(["{}@s.mrcs 1.5", *lines], 1)]
    path = tmp_path / "t.star"
    path.write_text(PLAIN + "\n".join(rows) + "\n", newline="")
    expected = [f"{i}@s.mrcs" for i, row in enumerate(rows, 1) if "@" in row]
    found = read_tables(path)[1]
    assert found["rlnImageName"].tolist() == expected
    assert found["rlnValue"].tolist() == [1.5] * len(expected)


@repeatable
@given(st.lists(st.sampled_from(["1@s.mrcs 1", "1@s.mrcs", "1@s.mrcs 1 2", '"1@s.mrcs 1'])))
def test_a_row_of_another_length_is_refused_and_not_dropped(tmp_path, rows):
    path = tmp_path / "t.star"
    path.write_text(PLAIN + "\n".join(["1@s.mrcs 1", *rows]) + "\n")
    if set(rows) <= {"1@s.mrcs 1"}:
        assert len(read_tables(path)[1]["rlnImageName"]) == len(rows) + 1
        return
    with pytest.raises(StarError, match=r"row|values"):
        read_tables(path)


WORDS = ["data_particles", "data_optics", "loop_", "_rlnImageName #1", "_rlnOpticsGroup #2", "#"]
LINES = st.lists(
    st.sampled_from([*WORDS, "1@s.mrcs 1", "'", '"', "_rlnVoltage 300", "_rlnVoltage #3"])
    | st.text(max_size=12),
    max_size=12,
)


@repeatable
@given(
    st.binary(max_size=200) | LINES.map(lambda lines: "\n".join(lines).encode("utf-8", "replace"))
)
def test_any_bytes_are_refused_in_words(tmp_path, content):
    path = tmp_path / "t.star"
    path.write_bytes(content)
    with pytest.raises(StarError) as caught:  # there is no stack
        read_particles(path)
    assert str(path) in str(caught.value)
