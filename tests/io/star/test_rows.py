"""Values that starfile, or pandas below it, would take for something else."""

import numpy as np
import pytest

from napari_ini3d.errors import StarError
from napari_ini3d.io.star import rows
from napari_ini3d.io.star.blocks import find_loops
from napari_ini3d.io.star.rows import parse_rows


def _parse(folder, lines, labels=("rlnMicrographName", "rlnDefocusU")):
    head = "data_\n\nloop_\n" + "".join(f"_{label}\n" for label in labels)
    content = lines if isinstance(lines, bytes) else lines.encode()
    path = folder / "table.star"
    path.write_bytes(head.encode() + content)
    (block,) = find_loops(path)
    return parse_rows(path, block)


NAMES = {
    "a number with zeros": ("0012", "0012"),
    "a number": ("1.50", "1.50"),
    "nan": ("nan", "nan"),
    "NaN": ("NaN", "NaN"),
    "<NA>": ("<NA>", "<NA>"),
    "None": ("None", "None"),
    "NULL": ("NULL", "NULL"),
    "True": ("True", "True"),
    "an apostrophe": ("bob's.mrc", "bob's.mrc"),
    "a number sign": ("run#3/mic.mrc", "run#3/mic.mrc"),
    "quoted, with blanks": ('"grid 1/mic #2.mrc"', "grid 1/mic #2.mrc"),
    "quoted twice": ("""'a "b" c'""", 'a "b" c'),
    "doubled quotation marks": ('"a ""b"" c"', 'a "b" c'),
    "empty": ('""', ""),
    "letters beyond ASCII": ("Gitter_à/à", "Gitter_à/à"),
    "characters that stand for bytes": ("\ue041\ue027'", "\ue041\ue027'"),
    "a keyword": ("data_mic.mrc", "data_mic.mrc"),
    "an underscore": ("_mic.mrc", "_mic.mrc"),
    "a backslash": ("a\\b.mrc", "a\\b.mrc"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("row", [1, 2])
def test_names_stay_as_they_are_written(tmp_path, name, row):
    written, expected = NAMES[name]
    lines = [f"{written} 1.5"] * 3
    if row == 2 or written.startswith("_"):  # a label, at the start of the first row
        lines[0] = "mic.mrc 1.5"
    columns = _parse(tmp_path, "\n".join(lines))
    assert columns["rlnMicrographName"].tolist()[1:] == [expected] * 2
    assert columns["rlnDefocusU"].tolist() == [1.5] * 3


def test_names_at_the_end_of_a_row_keep_their_last_byte(tmp_path):
    labels = ("rlnDefocusU", "rlnMicrographName")
    columns = _parse(tmp_path, "1 à\n2 caf\u0085\n".encode(), labels)  # both end like a blank
    assert columns["rlnMicrographName"].tolist() == ["à", "caf\u0085"]


def test_bytes_that_are_not_utf8_are_kept(tmp_path):
    columns = _parse(tmp_path, b"mic_\xe4.mrc 1\n")
    name = columns["rlnMicrographName"][0]
    assert name.encode("utf-8", "surrogateescape") == b"mic_\xe4.mrc"


@pytest.mark.parametrize("word", ["nan", "NaN", "NAN", "-nan", "+nan", "<NA>"])
def test_missing_numbers_are_nan_in_any_spelling(tmp_path, word):
    found = _parse(tmp_path, f"a 1.5\nb {word}\n")["rlnDefocusU"]
    np.testing.assert_array_equal(found, [1.5, np.nan])
    first = _parse(tmp_path, f"a {word}\nb 1.5\n")["rlnDefocusU"]
    np.testing.assert_array_equal(first, [np.nan, 1.5])


def test_one_word_among_numbers_leaves_all_values_as_they_are_written(tmp_path):
    lines = "".join(f"mic 0{i}\n" for i in range(50)).replace(" 01\n", " 1.50\n")
    found = _parse(tmp_path, lines.replace("mic 00", "mic 7") + "mic None\n")["rlnDefocusU"]
    assert found.tolist()[:3] + found.tolist()[-1:] == ["7", "1.50", "02", "None"]


@pytest.mark.parametrize("word", ["True", "FALSE", '""'])
@pytest.mark.parametrize("other", ["1.5", "nan", "7"])
def test_words_that_pandas_takes_for_numbers_make_a_column_of_text(tmp_path, word, other):
    for values in ([word, other], [other, word]):
        lines = "".join(f"mic {value}\n" for value in values)
        found = _parse(tmp_path, lines)["rlnDefocusU"]
        assert found.tolist() == [value.strip('"') for value in values]


def test_integers_of_64_bits_are_exact_and_larger_ones_are_text(tmp_path):
    large = "18446744073709551615"
    assert _parse(tmp_path, f"a 5\nb {large}\n")["rlnDefocusU"].tolist() == [5, 2**64 - 1]
    assert _parse(tmp_path, f"a 5\nb {large}0\n")["rlnDefocusU"].tolist() == ["5", large + "0"]
    assert _parse(tmp_path, f"a 5\nb {10**20 - 1}\n")["rlnDefocusU"].tolist() == ["5", "9" * 20]


def test_floats_are_the_nearest_to_what_is_written(tmp_path):
    values = np.random.default_rng(0).normal(size=1000) * 10.0 ** np.arange(-10, 10).repeat(50)
    lines = "".join(f"mic {value:.9g}\n" for value in values)
    found = _parse(tmp_path, lines)["rlnDefocusU"]
    np.testing.assert_allclose(found, [float(f"{value:.9g}") for value in values], rtol=1e-15)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(rows, "_PART_BYTES", 40)


def test_a_table_in_many_parts_is_the_same_table(tmp_path, small_parts):
    lines = "".join(f"mic{i}.mrc {i}\n" + "\n# comment\n" * (i % 7 == 0) for i in range(100))
    columns = _parse(tmp_path, lines)
    assert columns["rlnMicrographName"].tolist() == [f"mic{i}.mrc" for i in range(100)]
    assert columns["rlnDefocusU"].tolist() == list(range(100))


def test_parts_of_integers_and_of_floats_are_joined_without_loss(tmp_path, small_parts):
    lines = "a 1\n" * 30 + "a 2.5\n" * 30
    assert _parse(tmp_path, lines)["rlnDefocusU"].tolist() == [1] * 30 + [2.5] * 30
    lines = "a 1\n" * 30 + f"a {2**64 - 1}\n" * 30
    assert _parse(tmp_path, lines)["rlnDefocusU"].tolist() == [1] * 30 + [2**64 - 1] * 30


@pytest.mark.parametrize("bad", ["mic.mrc", "mic.mrc 1 2", 'mic "1.mrc 2'])
@pytest.mark.parametrize("row", [1, 2, 60])
@pytest.mark.parametrize("last", ["rlnDefocusU", "rlnGroupName"])
def test_a_row_of_another_length_is_named(tmp_path, small_parts, bad, row, last):
    lines = ["mic.mrc nan"] * 80
    lines[row - 1] = bad
    with pytest.raises(StarError, match=f"row {row} has [13] values; expected 2"):
        _parse(tmp_path, "\n".join(lines), ("rlnMicrographName", last))


def test_a_carriage_return_within_a_row_is_refused(tmp_path):
    with pytest.raises(StarError, match="expected"):
        _parse(tmp_path, "a\r1\nc 3\n")


def test_labels_with_control_characters_are_labels(tmp_path):
    found = _parse(tmp_path, "a 1.5\n", labels=("rlnMicrographName", "rlnDefo\x1fcusU"))
    assert found["rlnDefo\x1fcusU"].tolist() == [1.5]


def test_labels_without_values_and_loop_are_refused(tmp_path):
    path = tmp_path / "table.star"
    path.write_text("data_optics\n\n_rlnVoltage #1\n_rlnSphericalAberration #2\n")
    (block,) = find_loops(path)
    with pytest.raises(StarError, match=r"data_optics has labels, but no values.*loop_"):
        parse_rows(path, block)
