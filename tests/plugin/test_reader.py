import numpy as np
import pytest
from cryosparc_files import make_dataset, save, write_stacks
from mrc_files import mrc_bytes, write_particles, write_stack

from napari_ini3d.errors import CryosparcError, MapError, StackError, StarError
from napari_ini3d.io.mrc.maps import write_map
from napari_ini3d.plugin.layers import METADATA_KEY
from napari_ini3d.plugin.reader import get_reader
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.history import write_history

RNG = np.random.default_rng(0)
VOLUME = RNG.normal(size=(16, 16, 16)).astype(np.float32)
IMAGES = RNG.normal(size=(5, 16, 16)).astype(np.float32)


def read(path):
    reader = get_reader(str(path))
    assert reader is not None
    return reader(str(path))


def test_a_map_is_opened_as_a_centred_surface_in_angstrom(tmp_path):
    path = tmp_path / "run_it010_class001.mrc"
    write_map(path, VOLUME, 2.5)
    ((data, keywords, kind),) = read(path)
    np.testing.assert_array_equal(data, VOLUME)
    assert (kind, keywords["name"]) == ("image", "run_it010_class001")
    assert keywords["scale"] == (2.5, 2.5, 2.5)
    assert keywords["translate"] == (-20.0, -20.0, -20.0)
    assert keywords["units"] == ("angstrom",) * 3
    assert keywords["axis_labels"] == ("z", "y", "x")
    assert keywords["rendering"] == "iso"
    assert keywords["metadata"][METADATA_KEY]["path"] == str(path)


def test_several_maps_become_several_layers(tmp_path):
    paths = [str(tmp_path / name) for name in ("a.mrc", "b.map", "c.ccp4")]
    for path in paths:
        write_map(path, VOLUME, 2.0)
    layers = get_reader(paths)(paths)
    assert [keywords["name"] for _, keywords, _ in layers] == ["a", "b", "c"]


def test_particles_are_read_when_they_are_shown(tmp_path):
    path = write_particles(tmp_path, IMAGES)
    ((data, keywords, _),) = read(path)
    assert data.shape == (5, 1, 1, 16, 16)
    np.testing.assert_array_equal(data[3, 0, 0], IMAGES[3])
    assert keywords["scale"][0] == 1.0
    assert keywords["scale"][2:] == (2.0, 2.0, 2.0)
    assert keywords["translate"] == (0.0, 0.0, 0.0, -16.0, -16.0)
    assert keywords["units"] == ("pixel", "pixel", "angstrom", "angstrom", "angstrom")
    assert keywords["axis_labels"] == ("particle", "iteration", "z", "y", "x")


def test_particles_carry_every_column_of_their_star_file(tmp_path):
    ((_, keywords, _),) = read(write_particles(tmp_path, IMAGES, name="run_it010_data.star"))
    known = keywords["metadata"][METADATA_KEY]
    assert known["features"]["rlnDefocusU"].tolist() == [15000.0 + i for i in range(5)]
    assert known["features"]["rlnImageName"][4] == "000005@stack.mrcs"
    assert len(known["particles"]) == 5


def test_only_some_particles_are_read_when_a_stack_is_opened(tmp_path, monkeypatch):
    from napari_ini3d.io.images.reader import StackReader

    images = RNG.normal(size=(200, 16, 16)).astype(np.float32)
    path = write_particles(tmp_path, images)
    seen, real = [], StackReader.read
    monkeypatch.setattr(
        StackReader, "read", lambda self, index: (seen.extend(index), real(self, index))[1]
    )
    read(path)
    assert 0 < len(seen) <= 20


def test_a_stack_without_star_file_is_opened_with_its_pixel_size(tmp_path):
    path = write_stack(tmp_path / "stack.mrcs", IMAGES)
    ((data, keywords, _),) = read(path)
    np.testing.assert_array_equal(data[2, 0, 0], IMAGES[2])
    assert keywords["units"] == ("pixel",) * 5, "the header has no pixel size"
    header = bytearray(path.read_bytes())
    header[40:52] = np.array([32.0, 32.0, 10.0], "<f4").tobytes()
    path.write_bytes(header)
    ((_, keywords, _),) = read(path)
    assert keywords["scale"][2:] == (2.0, 2.0, 2.0)
    assert keywords["units"][2:] == ("angstrom",) * 3


def write_run(folder, iterations=(10, 20, 25), classes=1, prefix="run"):
    folder.mkdir()
    for iteration in iterations:
        for k in range(classes):
            name = f"{prefix}_it{iteration:03d}_class{k + 1:03d}.mrc"
            write_map(folder / name, VOLUME * (iteration + k), 3.0)
    return folder


@pytest.mark.parametrize("prefix", ["run", "run_ct10"])
def test_a_run_folder_is_opened_with_the_iteration_as_first_axis(tmp_path, prefix):
    ((data, keywords, _),) = read(write_run(tmp_path / "job1", prefix=prefix))
    assert data.shape == (26, 16, 16, 16)  # up to iteration 25
    for place, iteration in ((0, 10), (10, 10), (19, 10), (20, 20), (25, 25)):
        np.testing.assert_array_equal(data[place], VOLUME * iteration)
    assert np.asarray(data).shape == data.shape
    np.testing.assert_array_equal(np.asarray(data)[24], VOLUME * 20)
    assert keywords["name"] == "job1"
    assert keywords["scale"] == (1.0, 3.0, 3.0, 3.0)
    assert keywords["translate"] == (0.0, -24.0, -24.0, -24.0)
    assert keywords["units"] == ("pixel", "angstrom", "angstrom", "angstrom")
    assert keywords["axis_labels"] == ("iteration", "z", "y", "x")
    assert keywords["metadata"][METADATA_KEY]["iterations"] == [10, 20, 25]


def test_iterations_between_the_written_ones_come_from_the_history(tmp_path):
    folder = write_run(tmp_path / "job1", iterations=(10, 20))
    for iteration in range(9, 12):
        write_history(RunFolder(folder), iteration, -VOLUME[None], 3.0)
    ((data, keywords, _),) = read(folder)
    assert keywords["metadata"][METADATA_KEY]["iterations"] == [9, 10, 11, 20]
    np.testing.assert_allclose(data[9], -VOLUME, atol=1e-3 * abs(VOLUME).max())
    np.testing.assert_array_equal(data[10], VOLUME * 10)  # as written, in full precision


def test_a_history_of_smaller_maps_is_ignored(tmp_path):
    folder = write_run(tmp_path / "job1", iterations=(10, 20))
    write_history(RunFolder(folder), 9, VOLUME[None, :8, :8, :8], 6.0)
    ((data, keywords, _),) = read(folder)
    assert data.shape == (21, 16, 16, 16)
    assert keywords["metadata"][METADATA_KEY]["iterations"] == [10, 20]


def test_each_class_of_a_run_is_a_layer_of_its_own_colour(tmp_path):
    layers = read(write_run(tmp_path / "job1", classes=2))
    assert [keywords["name"] for _, keywords, _ in layers] == ["job1 class 1", "job1 class 2"]
    assert len({keywords["colormap"] for _, keywords, _ in layers}) == 2
    np.testing.assert_array_equal(layers[1][0][0], VOLUME * 11)


def test_maps_of_a_run_that_differ_in_box_are_named(tmp_path):
    folder = write_run(tmp_path / "job1")
    write_map(folder / "run_it015_class001.mrc", np.pad(VOLUME, 1), 3.0)
    with pytest.raises(MapError, match=r"run_it015_class001.*18 x 18 x 18.*cube of 16"):
        read(folder)


def test_a_deleted_map_is_reported_when_it_is_shown(tmp_path):
    folder = write_run(tmp_path / "job1")
    ((data, _, _),) = read(folder)
    (folder / "run_it010_class001.mrc").unlink()
    with pytest.raises(MapError, match="No such file"):
        data.read(0)


@pytest.mark.parametrize("path", ["image.tif", [], ["a.mrc", "b.tif"], "notes.txt", "/nowhere/"])
def test_other_files_are_left_to_other_readers(path):
    assert get_reader(path) is None


def test_a_folder_without_maps_is_left_to_other_readers(tmp_path):
    write_map(tmp_path / "initial_model.mrc", VOLUME, 2.0)
    assert get_reader(str(tmp_path)) is None


def test_a_star_file_without_images_is_left_to_other_readers(tmp_path):
    path = tmp_path / "run_it010_model.star"
    path.write_text("data_model_classes\n\nloop_\n_rlnReferenceImage #1\nmap.mrc\n\n")
    assert get_reader(str(path)) is None


@pytest.mark.parametrize("shape", [(1, 16, 16), (40, 16, 16), (16, 16, 20)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_micrographs_movies_and_tomograms_are_left_to_other_readers(tmp_path, shape, order):
    path = tmp_path / "tomogram.mrc"
    path.write_bytes(mrc_bytes(np.zeros(shape), order=order))
    assert get_reader(str(path)) is None


def test_an_unreadable_file_is_accepted_and_reported(tmp_path):
    (tmp_path / "short.mrc").write_bytes(b"nothing")
    (tmp_path / "empty.star").touch()
    (tmp_path / "short.mrcs").write_bytes(b"nothing")
    for name, error in (
        ("short.mrc", MapError),
        ("missing.mrc", MapError),
        ("empty.star", StarError),
        ("short.mrcs", StackError),
    ):
        with pytest.raises(error, match=name):
            read(tmp_path / name)


def test_datasets_of_cryosparc_are_opened_as_particles(tmp_path):
    table = make_dataset()
    images = write_stacks(tmp_path, table)
    ((data, keywords, _),) = read(save(tmp_path / "J9" / "particles.cs", table))
    np.testing.assert_array_equal(data[4, 0, 0], images[4])
    known = keywords["metadata"][METADATA_KEY]
    assert known["kind"] == "particles"
    assert known["features"]["cs/uid"].tolist() == table["uid"].tolist()


def test_a_dataset_that_is_not_of_particles_is_refused_when_it_is_opened(tmp_path):
    path = save(tmp_path / "volume.cs", make_dataset(fields=[("map/path", "S20")]))
    with pytest.raises(CryosparcError, match="a volume"):
        read(path)


def test_the_folder_of_a_selection_opens_its_particles(tmp_path):
    path = write_particles(tmp_path / "Select/job011", IMAGES, name="particles.star")
    path.with_name("class_averages.star").write_text("data_\n")
    ((_, keywords, _),) = read(path.parent)
    known = keywords["metadata"][METADATA_KEY]
    assert (known["kind"], known["path"]) == ("particles", str(path))


def test_the_folder_of_a_2d_classification_opens_its_last_averages_and_particles(tmp_path):
    job = tmp_path / "Class2D/job008"
    for iteration in (0, 5, 25):
        write_particles(job, IMAGES, name=f"run_it{iteration:03d}_data.star")
        write_stack(job / f"run_it{iteration:03d}_classes.mrcs", IMAGES[:3])
    (averages, particles) = read(job)
    assert averages[0].shape[0] == 3
    paths = [layer[1]["metadata"][METADATA_KEY]["path"] for layer in (averages, particles)]
    assert paths == [str(job / "run_it025_classes.mrcs"), str(job / "run_it025_data.star")]


def test_the_folder_of_a_refinement_opens_its_final_map_or_the_newest_half_maps(tmp_path):
    job = tmp_path / "Refine3D/job020"
    job.mkdir(parents=True)
    for name in ("it000_half1", "it000_half2", "it003_half1", "it003_half2"):
        write_map(job / f"run_{name}_class001.mrc", VOLUME, 2.0)
    (job / "run_it003_data.star").write_text("data_\n")
    assert [layer[1]["name"] for layer in read(job)] == [
        "run_it003_half1_class001",
        "run_it003_half2_class001",
    ]
    write_map(job / "run_class001.mrc", VOLUME, 2.0)
    write_map(job / "run_half1_class001_unfil.mrc", VOLUME, 2.0)
    assert [layer[1]["name"] for layer in read(job)] == ["run_class001"]


def test_the_folder_of_an_initial_model_opens_its_maps_by_iteration(tmp_path):
    job = tmp_path / "InitialModel/job012"
    job.mkdir(parents=True)
    for iteration in (0, 100, 200):
        write_map(job / f"run_it{iteration:03d}_class001.mrc", VOLUME, 2.0)
    write_map(job / "initial_model.mrc", VOLUME, 2.0)
    ((data, _, _),) = read(job)
    assert data.shape[0] == 201  # the slider counts iterations, from 0


def test_a_folder_without_particles_or_maps_is_left_to_others(tmp_path):
    (tmp_path / "run_it025_model.star").write_text("data_\n")
    assert get_reader(str(tmp_path)) is None
