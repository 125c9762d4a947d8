"""Datasets of cryoSPARC: the file, and the join of passthrough files by uid."""

import io
import pickle

import numpy as np
import pytest
from cryosparc_files import BLOB, CTF, make_dataset, save

from napari_ini3d.errors import CryosparcError
from napari_ini3d.io.cryosparc.dataset import join_passthrough, read_dataset, write_dataset

referee = pytest.importorskip("cryosparc.dataset")


def test_what_is_written_is_loaded_by_cryosparc_tools(tmp_path):
    table = make_dataset()
    write_dataset(tmp_path / "a.cs", {name: table[name] for name in table.dtype.names})
    loaded = referee.Dataset.load(tmp_path / "a.cs")
    assert set(loaded.fields()) == set(table.dtype.names)
    np.testing.assert_array_equal(loaded["uid"], table["uid"])
    np.testing.assert_array_equal(loaded["alignments3D/pose"], table["alignments3D/pose"])
    assert loaded["blob/path"][0] == table["blob/path"][0].decode()


def test_what_cryosparc_tools_writes_is_read(tmp_path):
    table = make_dataset()
    names = table.dtype.names
    dataset = referee.Dataset({name: table[name] for name in names})
    dataset.save(tmp_path / "a.cs", format=referee.NUMPY_FORMAT)
    fields = read_dataset(tmp_path / "a.cs")
    assert set(fields) == set(names)
    for name in names:
        np.testing.assert_array_equal(fields[name], table[name], err_msg=name)


def test_a_column_stream_is_named_with_the_way_to_save_it_again(tmp_path):
    table = make_dataset()
    dataset = referee.Dataset({name: table[name] for name in table.dtype.names})
    dataset.save(tmp_path / "a.cs", format=referee.CSDAT_FORMAT)
    with pytest.raises(CryosparcError, match=r"CSDAT.*NUMPY_FORMAT") as caught:
        read_dataset(tmp_path / "a.cs")
    command = str(caught.value).partition("`")[2].partition("`")[0]
    exec(command.replace('"a', f'"{tmp_path}/a'))
    assert len(read_dataset(tmp_path / "a_numpy.cs")) == len(table.dtype.names)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickled object was executed",))


def test_pickled_objects_are_refused_and_not_executed(tmp_path):
    plain = tmp_path / "a.cs"
    plain.write_bytes(pickle.dumps(Trap()))
    inside = tmp_path / "b.cs"
    buffer = io.BytesIO()
    np.save(buffer, np.array([None, None], dtype=object), allow_pickle=True)
    header = buffer.getvalue()[: buffer.getvalue().index(b"\n") + 1]
    inside.write_bytes(header + pickle.dumps(Trap()))
    for path in (plain, inside):
        with pytest.raises(CryosparcError, match="without pickled objects"):
            read_dataset(path)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"data_particles\n", b"PK\x03\x04zip"])
def test_other_files_are_refused_by_name(tmp_path, content):
    (tmp_path / "a.cs").write_bytes(content)
    with pytest.raises(CryosparcError, match=r"a\.cs"):
        read_dataset(tmp_path / "a.cs")


def test_text_is_not_said_to_hold_pickled_data(tmp_path):
    (tmp_path / "a.cs").write_text("data_particles\n")
    with pytest.raises(CryosparcError, match=r"cannot be read \(not a NumPy file\)"):
        read_dataset(tmp_path / "a.cs")


def test_a_truncated_file_is_refused(tmp_path):
    path = save(tmp_path / "a.cs", make_dataset())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CryosparcError, match="cannot be read"):
        read_dataset(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(CryosparcError, match="No such file"):
        read_dataset(tmp_path / "a.cs")


def test_an_empty_dataset_is_refused(tmp_path):
    with pytest.raises(CryosparcError, match="0 rows"):
        read_dataset(save(tmp_path / "a.cs", make_dataset()[:0]))


def test_a_long_header_is_read(tmp_path):
    fields = [*BLOB, *[(f"result{i:04d}/a_rather_long_name_of_a_field", "<f4") for i in range(400)]]
    assert len(read_dataset(save(tmp_path / "a.cs", make_dataset(fields=fields)))) == 407


def join(folder, fields):
    other = folder / "pass.cs"
    return join_passthrough(folder / "a.cs", fields, {other: read_dataset(other)})


def test_passthrough_files_are_joined_by_uid_and_not_by_row(tmp_path):
    table = make_dataset(fields=[*BLOB, *CTF])
    order = np.random.default_rng(3).permutation(len(table))
    other = table[["uid", *[field[0] for field in CTF]]][order]
    more = np.concatenate([other, make_dataset(2, CTF, seed=9)[list(other.dtype.names)]])
    save(tmp_path / "pass.cs", more)
    fields = {"uid": table["uid"], "ctf/df1_A": np.zeros(len(table))}
    joined = join(tmp_path, fields)
    np.testing.assert_array_equal(joined["ctf/df2_A"], table["ctf/df2_A"])
    np.testing.assert_array_equal(joined["ctf/df1_A"], 0)  # fields of the particles' file stay


def test_a_passthrough_file_of_other_particles_is_refused(tmp_path):
    table = make_dataset(fields=BLOB)
    save(tmp_path / "pass.cs", table[1:])
    with pytest.raises(CryosparcError, match=rf"1 of the 6.*{table['uid'][0]}"):
        join(tmp_path, {"uid": table["uid"]})
    save(tmp_path / "pass.cs", table[[0, 0, 1, 2, 3, 4, 5]])
    with pytest.raises(CryosparcError, match="more than once"):
        join(tmp_path, {"uid": table["uid"]})


def test_a_header_that_declares_more_than_the_file_holds_is_refused_without_taking_memory(tmp_path):
    save(tmp_path / "a.cs", make_dataset())
    content = (tmp_path / "a.cs").read_bytes()
    shape = content[content.index(b"'shape': (") :].partition(b")")[0] + b")"
    longer = shape.replace(b",)", b"000000000000,)")
    assert content.count(shape + b", }" + b" " * 12) == 1
    (tmp_path / "a.cs").write_bytes(content.replace(shape + b", }" + b" " * 12, longer + b", }"))
    with pytest.raises(CryosparcError, match=r"truncated.*its header declares"):
        read_dataset(tmp_path / "a.cs")


def test_a_damaged_header_is_refused(tmp_path):
    save(tmp_path / "a.cs", make_dataset())
    content = (tmp_path / "a.cs").read_bytes()
    (tmp_path / "a.cs").write_bytes(content.replace(b"'shape'", b"['hape'"))
    with pytest.raises(CryosparcError, match="cannot be read"):
        read_dataset(tmp_path / "a.cs")


@pytest.mark.parametrize("name", ["uid", "blob/sign", "ctf/df1_A", "alignments3D/pose"])
def test_text_where_numbers_are_expected_is_refused(tmp_path, name):
    table = make_dataset()
    fields = {field: table[field] for field in table.dtype.names}
    write_dataset(tmp_path / "a.cs", fields | {name: np.full(len(table), b"text")})
    with pytest.raises(CryosparcError, match=f"{name} has the type .S4; expected numbers"):
        read_dataset(tmp_path / "a.cs")
