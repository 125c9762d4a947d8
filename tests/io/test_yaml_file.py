"""YAML of version 1.2 as users write it; what version 1.1 would misread is text."""

import pytest

from napari_ini3d.errors import InputError
from napari_ini3d.io import read_yaml


@pytest.fixture
def read(tmp_path):
    def read(text: str):
        (tmp_path / "file.yaml").write_text(text, encoding="utf-8")
        return read_yaml(tmp_path / "file.yaml")

    return read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("04:00:00", "04:00:00"),
        ("2026-11-28", "2026-11-28"),
        ("010", 10),
        ("-3", -3),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("1.5", 1.5),
        ("true", True),
        ("~", None),
        ("", None),
        ("'8'", "8"),
        ("[1, a]", [1, "a"]),
        ("C1", "C1"),
    ],
)
def test_plain_words_are_read_by_the_core_schema(read, text, value):
    (found,) = read(f"key: {text}").values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", r"in line 4 \(the key 'c' comes twice\); correct"),
        ("a: [1\n", r"in line 2 \(.*\); correct the line"),
        ("a: !!python/object:os.system 1\n", "in line 1"),
        ("[" * 5000, "cannot be read as YAML"),
    ],
)
def test_a_key_that_comes_twice_and_what_is_no_yaml_are_refused_with_the_line(read, text, said):
    with pytest.raises(InputError, match=said):
        read(text)


def test_a_file_that_is_missing_or_in_another_encoding_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"absent\.yaml: cannot be read .*; give an existing"):
        read_yaml(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(InputError, match=r"UTF-8; save it"):
        read_yaml(tmp_path / "latin.yaml")
