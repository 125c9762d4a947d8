"""Arrays that declare more than their file holds, and results of other types."""

import io
import zipfile

import numpy as np
import pytest

from napari_ini3d.runs import storage
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.storage import load_arrays, save_arrays
from napari_ini3d.runs.symmetry_files import SymmetryFiles
from napari_ini3d.runs.validation_files import ValidationFiles


def npy(shape, data, dtype="<f4"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"shape": shape, "fortran_order": False, "descr": dtype}
    )
    return file.getvalue() + data


def write_npz(path, text, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x.npy", text)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_are_read_as_they_were_written(tmp_path, compressed):
    arrays = {"x": np.arange(12.0).reshape(3, 4), "empty": np.zeros((0, 3)), "one": np.array(7)}
    save_arrays(tmp_path / "a.npz", arrays, compressed=compressed)
    found = load_arrays(tmp_path / "a.npz")
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize("shape", [(2**40,), (5,), (3,), (2**33, 2**33)])
def test_an_array_that_is_not_of_its_declared_size_is_not_read(tmp_path, shape):
    path = write_npz(tmp_path / "a.npz", npy(shape, b"\0" * 16))
    with pytest.raises(ValueError, match=r"x\.npy is not of its declared size"):
        load_arrays(path)


def test_objects_are_not_read(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"a\.npz"):
        load_arrays(tmp_path / "a.npz")


def test_arrays_that_do_not_fit_in_memory_are_refused_before_they_are_read(tmp_path, monkeypatch):
    save_arrays(tmp_path / "a.npz", {"x": np.zeros(5000)}, compressed=True)
    assert (tmp_path / "a.npz").stat().st_size < 1000
    monkeypatch.setattr(storage, "free_memory", lambda: 20_000)
    with pytest.raises(ValueError, match=r"declares \d+ bytes, but 20000 are free"):
        load_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("size", [0, 3, 100, -30])
def test_truncated_files_are_refused(tmp_path, size):
    save_arrays(tmp_path / "a.npz", {"x": np.arange(500)})
    text = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(text[:size])
    with pytest.raises(ValueError, match="truncated, empty or damaged"):
        load_arrays(tmp_path / "a.npz")


SYMMETRY = {"requested": "auto", "group": "D2", "verdict": "D2 holds"}
VALIDATION = {
    "verdict": "reliable",
    "reasons": [],
    "resolution_0143": 9.5,
    "resolution_05": 12,
    "box_size": 32,
    "voxel_size": 4.0,
    "fsc": {name: [1.0, 0.5] for name in ("unmasked", "masked", "randomised", "corrected")},
}


@pytest.mark.parametrize(
    ("kind", "facts", "change"),
    [
        (SymmetryFiles, SYMMETRY, {"group": 4}),
        (SymmetryFiles, SYMMETRY, {"verdict": None}),
        (ValidationFiles, VALIDATION, {"resolution_05": "x"}),
        (ValidationFiles, VALIDATION, {"reasons": "x"}),
        (ValidationFiles, VALIDATION, {"box_size": True}),
        (ValidationFiles, VALIDATION, {"fsc": {}}),
        (ValidationFiles, VALIDATION, {"fsc": VALIDATION["fsc"] | {"masked": [1.0]}}),
        (ValidationFiles, VALIDATION, {"fsc": VALIDATION["fsc"] | {"masked": [1.0, "x"]}}),
    ],
)
def test_results_of_other_types_are_said_and_left_out(tmp_path, kind, facts, change, caplog):
    files = kind(RunFolder.create(tmp_path / "run"))
    files.write_facts(facts)
    assert files.read_facts() == facts
    files.write_facts(facts | change)
    assert files.read_facts() is None
    assert f"{files.facts_path.name} is damaged" in caplog.text


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", "[" * 99999])
def test_results_that_are_no_json_are_said_and_left_out(tmp_path, text, caplog):
    files = SymmetryFiles(RunFolder.create(tmp_path / "run"))
    files.facts_path.write_text(text)
    assert files.read_facts() is None
    assert "symmetry.json is damaged" in caplog.text
