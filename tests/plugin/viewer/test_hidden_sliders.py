"""Hidden stacks have no slider, and come back as they were."""

from copy import deepcopy

import numpy as np
import pytest
from napari.layers import Layer

from napari_ini3d.plugin.layers import LazyFrames, frames_by_iteration, particle_layer
from napari_ini3d.plugin.viewer.hidden_sliders import HiddenSliders
from napari_ini3d.plugin.viewer.map_layers import add_layers
from napari_ini3d.plugin.viewer.shown_volume import all_frames


def images(count=12):
    def read(index):
        return np.ones((len(index), 1, 1, 8, 8), np.float32) * np.asarray(index).reshape(
            -1, 1, 1, 1, 1
        )

    return LazyFrames(count, (1, 1, 8, 8), read)


@pytest.fixture
def particles(model):
    (layer,) = add_layers(model, [particle_layer(images(), 2.0, "particles", {"path": "p.star"})])
    return layer


def test_a_hidden_stack_has_no_slider(model, particles):
    assert model.dims.nsteps[0] == 12
    particles.visible = False
    assert model.dims.nsteps[0] == 1


def test_a_stack_that_is_shown_again_is_at_the_same_frame(model, particles):
    model.dims.set_point(0, 7)
    particles.visible = False
    particles.visible = True
    assert model.dims.nsteps[0] == 12
    assert model.dims.point[0] == 7
    assert particles.data[7].max() == 7
    assert particles.translate[0] == 0


def test_all_frames_of_a_hidden_stack_are_still_there(particles):
    before = particles.data
    particles.visible = False
    assert len(particles.data) == 1
    assert all_frames(particles) is before
    particles.visible = True
    assert particles.data is before


def duplicate(model, layer):
    """Duplicate a layer as napari does."""
    data, keywords, kind = layer.as_layer_data_tuple()
    copy = Layer.create(deepcopy(data), keywords, kind)
    model.layers.append(copy)
    return copy


def test_a_copy_of_a_hidden_stack_has_all_frames_when_it_is_shown(model, particles):
    model.dims.set_point(0, 7)
    particles.visible = False
    copy = duplicate(model, particles)
    assert len(copy.data) == 1
    copy.visible = True
    assert len(copy.data) == 12
    assert model.dims.point[0] == 7
    assert len(particles.data) == 1


def test_a_copy_of_a_shown_stack_has_frames_of_its_own(model, particles):
    copy = duplicate(model, particles)
    particles.visible = False
    assert len(copy.data) == 12
    assert copy.data[5].max() == 5


def test_the_sliders_of_other_stacks_stay(model, particles):
    add_layers(model, [particle_layer(images(5), 2.0, "others", {"path": "q.star"})])
    particles.visible = False
    assert model.dims.nsteps[0] == 5


def test_a_hidden_stack_that_grows_shows_its_last_frame_if_it_was_at_the_last(model, particles):
    sliders = HiddenSliders.of(model)
    model.dims.set_point(0, 11)
    particles.visible = False
    sliders.replace(particles, images(20), follow_from=11)
    assert model.dims.nsteps[0] == 1
    particles.visible = True
    assert model.dims.nsteps[0] == 20
    assert model.dims.point[0] == 19


def test_frames_by_iteration_repeat_the_map_before_and_are_read_once():
    read = []

    def reader(index):
        read.extend(int(i) for i in index)
        return np.asarray(index, np.float32).reshape(-1, 1, 1, 1) * np.ones((2, 2, 2), np.float32)

    found = frames_by_iteration(LazyFrames(3, (2, 2, 2), reader), [2, 3, 6])
    assert found.shape == (7, 2, 2, 2)
    assert [float(found[i].max()) for i in range(7)] == [0, 0, 0, 1, 1, 1, 2]
    assert sorted(read) == [0, 1, 2]
