import resource

import mrcfile
import numpy as np
import pytest

from napari_ini3d.errors import MapError, RunFolderError
from napari_ini3d.io.mrc.maps import read_map, write_map

DATA = np.random.default_rng(5).normal(size=(16, 16, 16)).astype(np.float32)


def _mrc(path, data=DATA, voxel_size=2.0):
    with mrcfile.new(path, data=data, overwrite=True) as file:
        file.voxel_size = voxel_size
    return path


def test_a_map_is_read_as_it_was_written(tmp_path):
    write_map(tmp_path / "m.mrc", DATA, 3.4)
    back = read_map(tmp_path / "m.mrc")
    np.testing.assert_array_equal(back.data, DATA)
    assert back.voxel_size == pytest.approx(3.4, abs=1e-6)
    assert back.origin == (0, 0, 0)


def test_the_header_has_the_statistics_of_the_map(tmp_path):
    write_map(tmp_path / "map.mrc", DATA, 2.0)
    with mrcfile.open(tmp_path / "map.mrc") as file:
        assert file.header.dmin == DATA.min()
        assert file.header.dmax == DATA.max()
        assert file.header.dmean == pytest.approx(DATA.mean(), abs=1e-5)
        assert file.header.rms == pytest.approx(DATA.std(), rel=1e-4)
        assert file.header.nlabl == 1


def test_the_origin_is_written_to_the_header(tmp_path):
    write_map(tmp_path / "m.mrc", DATA, 2.0, origin=(-16.0, 8.0, 3.5))
    assert read_map(tmp_path / "m.mrc").origin == (-16, 8, 3.5)
    assert mrcfile.validate(tmp_path / "m.mrc")


def test_files_of_equal_maps_are_equal_because_they_have_no_time(tmp_path):
    write_map(tmp_path / "m.mrc", DATA, 3.4)
    with mrcfile.open(tmp_path / "m.mrc") as file:
        assert file.get_labels() == ["napari-ini3d"]


def test_the_header_is_that_of_a_volume_of_mode_2(tmp_path):
    write_map(tmp_path / "m.mrc", DATA.astype(np.float64), 1.25)
    with mrcfile.open(tmp_path / "m.mrc") as file:
        assert file.is_volume()
        assert int(file.header.mode) == 2
        assert (file.header.nxstart, file.header.nystart, file.header.nzstart) == (0, 0, 0)
        assert float(file.voxel_size.z) == pytest.approx(1.25)
        assert mrcfile.validate(tmp_path / "m.mrc")


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16, np.float16])
def test_other_modes_are_read_as_float32(tmp_path, dtype):
    data = np.arange(16**3).reshape(16, 16, 16) % 100
    found = read_map(_mrc(tmp_path / "m.mrc", data.astype(dtype))).data
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, data)


def _with(value):
    data = DATA.copy()
    data[3, 4, 5] = value
    return data


BAD = {
    "not cubic": (DATA[:12], 2.0, "16 x 16 x 12|12 x 16 x 16"),
    "small": (DATA[:8, :8, :8], 2.0, "at least 16"),
    "odd": (np.pad(DATA, (0, 1)), 2.0, "odd box"),
    "no voxel size": (DATA, 0.0, "voxel size 0 x 0 x 0"),
    "anisotropic": (DATA, (2.0, 2.0, 3.0), "differs between axes"),
    "NaN": (_with(np.nan), 2.0, "1 voxels are NaN"),
    "infinite": (_with(np.inf), 2.0, "1 voxels are NaN or infinite"),
    "constant": (np.ones_like(DATA), 2.0, "every voxel is 1"),
    "complex": (DATA.astype(np.complex64), 2.0, "complex"),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_map_is_refused_with_the_reason(tmp_path, name):
    data, voxel_size, reason = BAD[name]
    with pytest.raises(MapError, match=reason) as error:
        read_map(_mrc(tmp_path / "m.mrc", data, voxel_size))
    assert "m.mrc" in str(error.value)


def test_an_odd_box_is_read_when_allowed(tmp_path):
    path = _mrc(tmp_path / "m.mrc", np.pad(DATA, (0, 1)))
    assert read_map(path, allow_odd=True).data.shape == (17, 17, 17)


def test_missing_files_and_other_formats_are_map_errors(tmp_path):
    with pytest.raises(MapError, match="No such file"):
        read_map(tmp_path / "none.mrc")
    (tmp_path / "x.mrc").write_bytes(b"text" * 500)
    with pytest.raises(MapError, match="cannot be read as an MRC map"):
        read_map(tmp_path / "x.mrc")


def test_a_map_that_is_not_finite_is_not_written(tmp_path):
    for data, voxel_size, reason in (
        (_with(np.nan), 2.0, "not finite"),
        (DATA[0], 2.0, "2 dimensions"),
        (DATA, 0.0, "voxel size 0"),
    ):
        with pytest.raises(MapError, match=reason):
            write_map(tmp_path / "m.mrc", data, voxel_size)
    with pytest.raises(RunFolderError):
        write_map(tmp_path / "none" / "m.mrc", DATA, 2.0)
    assert list(tmp_path.iterdir()) == []


def test_the_values_of_a_map_may_be_changed(tmp_path):
    write_map(tmp_path / "m.mrc", DATA, 2.0)
    assert read_map(tmp_path / "m.mrc").data.flags.writeable


def test_an_empty_map_is_read_only_where_it_is_expected(tmp_path):
    empty = np.zeros((16, 16, 16), np.float32)
    write_map(tmp_path / "empty.mrc", empty, 2.0)
    with pytest.raises(MapError, match="every voxel is 0"):
        read_map(tmp_path / "empty.mrc")
    assert not read_map(tmp_path / "empty.mrc", allow_empty=True).data.any()
    write_map(tmp_path / "flat.mrc", empty + 1, 2.0)
    with pytest.raises(MapError, match="every voxel is 1"):
        read_map(tmp_path / "flat.mrc", allow_empty=True)


@pytest.mark.parametrize(("word", "value"), [(23, 2**31 - 1), (2, 2**20), (1, 60_000)])
def test_a_header_that_declares_more_than_the_file_holds_is_refused(tmp_path, word, value):
    path = tmp_path / "a.mrc"
    write_map(path, np.random.default_rng(0).normal(size=(16, 16, 16)), 2.0)
    raw = bytearray(path.read_bytes())
    raw[4 * word : 4 * word + 4] = np.array(value, "<i4").tobytes()
    path.write_bytes(raw)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MapError, match=r"truncated: 17408 bytes; expected \d+"):
        read_map(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_the_declared_size_of_a_map_of_the_other_byte_order_is_understood(tmp_path):
    path = tmp_path / "a.mrc"
    data = np.random.default_rng(0).normal(size=(16, 16, 16)).astype(">f4")
    with mrcfile.new(path) as file:
        file.set_data(data)
        file.voxel_size = 2.0
    np.testing.assert_allclose(read_map(path).data, data)
