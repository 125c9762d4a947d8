import numpy as np
import pytest
import starfile

from napari_ini3d.errors import StarError
from napari_ini3d.io.star import format as star_format
from napari_ini3d.io.star.blocks import find_loops
from napari_ini3d.io.star.format import write_tables
from napari_ini3d.io.star.rows import parse_rows


def _read(path):
    return {block.name: parse_rows(path, block) for block in find_loops(path)}


TEXTS = [
    "a.mrc",
    "a b.mrc",
    "it's.mrc",
    "'quoted'",
    "two words 'quoted'",
    'two "words"',
    "#1.mrc",
    "a #1.mrc",
    "",
    "\tab",
    "nan",
    "012",
    "à.mrc",
    "raw\udce4.mrc",
    "\ue020",
]


def test_text_reads_back_as_it_was(tmp_path):
    column = np.array(TEXTS, dtype=object)
    numbers = np.arange(len(TEXTS)) / 8
    write_tables(tmp_path / "a.star", {"x": {"rlnGroupName": column, "rlnVoltage": numbers}})
    found = _read(tmp_path / "a.star")["x"]
    assert found["rlnGroupName"].tolist() == TEXTS
    np.testing.assert_array_equal(found["rlnVoltage"], numbers)


@pytest.mark.parametrize("text", ["a\nb", "a\n", "a\u2028b", "both ' and \""])
def test_text_that_no_quotation_marks_can_hold_is_refused(tmp_path, text):
    with pytest.raises(StarError, match="rename"):
        write_tables(tmp_path / "a.star", {"x": {"rlnGroupName": np.array([text], dtype=object)}})
    assert not (tmp_path / "a.star").exists()


def test_floats_have_six_decimals_if_these_are_exact_or_else_twelve_digits(tmp_path):
    values = np.array([0.25, 1.0, 1.25e-7, 1 / 3, 1e12, np.nan, np.inf])
    write_tables(tmp_path / "a.star", {"x": {"a": values, "b": values.astype(np.float32)}})
    lines = (tmp_path / "a.star").read_text().splitlines()[-8:]
    first, second = zip(*(line.split() for line in lines if line), strict=True)
    exact = ["0.250000", "1.000000", "1.25e-07", "0.333333333333", "1000000000000.000000"]
    assert list(first) == [*exact, "nan", "inf"]
    assert second[3] == "0.33333334"


def test_a_block_of_single_values_reads_back(tmp_path):
    pairs = {"rlnNrClasses": 3, "rlnTau2FudgeFactor": 4.0, "rlnStarFileName": "a b.star"}
    table = {"rlnClassNumber": np.arange(3)}
    write_tables(tmp_path / "a.star", {"general": pairs, "classes": table})
    found = _read(tmp_path / "a.star")
    assert {name: column[0] for name, column in found["general"].items()} == pairs
    assert found["classes"]["rlnClassNumber"].tolist() == [0, 1, 2]
    assert (tmp_path / "a.star").read_text().count("# version 30001") == 2  # RELION looks for it


def test_a_table_in_many_parts_has_one_header_and_all_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(star_format, "_ROWS_PER_PART", 7)
    names = np.array([f"{i}@stack.mrcs" for i in range(50)], dtype=object)
    write_tables(tmp_path / "a.star", {"x": {"rlnImageName": names, "rlnVoltage": np.arange(50)}})
    frame = starfile.read(tmp_path / "a.star")
    assert frame["rlnImageName"].tolist() == names.tolist()
    assert frame["rlnVoltage"].tolist() == list(range(50))


def test_the_same_tables_give_the_same_bytes(tmp_path):
    for name in ("a.star", "b.star"):
        write_tables(tmp_path / name, {"x": {"rlnVoltage": np.arange(3)}})
    assert (tmp_path / "a.star").read_bytes() == (tmp_path / "b.star").read_bytes()
    assert "starfile" not in (tmp_path / "a.star").read_text()
