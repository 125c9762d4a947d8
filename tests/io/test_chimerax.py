"""Commands for ChimeraX: conventions of positions, origins and views, by numbers."""

import os
import re

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.errors import InputError
from napari_ini3d.io import chimerax
from napari_ini3d.io.chimerax import (
    ChimeraLines,
    ChimeraMap,
    ChimeraView,
    camera_position,
    find_chimerax,
    format_bild,
    format_chimerax,
    rigid_position,
    safe_name,
)

FRONT = ChimeraView(centre=(0, 0, 0), direction=(0, 0, -1), up=(0, 1, 0), width=200.0)


def shown_map(**changes):
    values = {"path": "a.mrc", "name": "a", "box_size": 48, "level": 0.0125, "colour": "#56b4e9"}
    return ChimeraMap(**(values | changes))


def numbers_after(text, start):
    """The numbers of the only or last command with a start."""
    lines = [line for line in text.splitlines() if line.startswith(start)]
    return np.array([float(value) for value in lines[-1].removeprefix(start).split(",")])


def project(position, points):
    """Points (N, 3) of the scene in the frame of a camera: right, up, towards the viewer."""
    rotation, origin = position[:, :3], position[:, 3]
    return (points - origin) @ rotation


NUMBER = r"-?\d+(\.\d+)?(e[+-]\d+)?"
WORD = r"""([A-Za-z0-9_./-]+|"[^"]*"|'[^']*')"""
HEX = "#[0-9a-f]{6}"
SYNTAX = (  # of the commands in ChimeraX's User Guide, as far as they are used
    r"#.*",
    r"set bgColor \w+",
    rf"open {WORD} name {WORD} id \d+",
    r"volume #\d+ originIndex \d+,\d+,\d+ step 1 region all",
    rf"volume #\d+ style surface( level {NUMBER} color {HEX}){{1,2}} show",
    rf"view matrix models #\d+(,{NUMBER}){{12}}",
    rf"view matrix camera {NUMBER}(,{NUMBER}){{11}}",
    rf"cofr {NUMBER}(,{NUMBER}){{2}}",
    rf"camera mono fieldOfView {NUMBER}",
    r"camera ortho",
    r"lighting soft",
    r"view",
)


@pytest.mark.parametrize("perspective", [0.0, 35.0])
def test_every_command_is_one_of_the_users_guide(perspective):
    moved = np.array([[0, -1, 0, 4], [1, 0, 0, 1e-7], [0, 0, 1, -2.5e-5]])
    maps = [
        shown_map(path="/my data/a's.mrc", name="my map", position=moved, level=1e-9),
        shown_map(colour_below="#0072b2", level=1234567.0),
    ]
    lines = [ChimeraLines(path="axes.bild", name="D2 axes")]
    view = ChimeraView(
        centre=(1e-8, 2, -3.5),
        direction=(0, 0, -1),
        up=(0, 1, 0),
        width=1e4,
        perspective=perspective,
    )
    for text in (format_chimerax(maps, lines, view), format_chimerax(maps)):
        unknown = [
            line
            for line in text.splitlines()
            if not any(re.fullmatch(pattern, line) for pattern in SYNTAX)
        ]
        assert unknown == []


def test_the_numbers_of_models_begin_where_they_are_asked_to():
    position = np.eye(3, 4) + 1.0
    lines = [ChimeraLines(path="axes.bild", name="axes")]
    text = format_chimerax([shown_map(), shown_map(position=position)], lines, first=101)
    assert re.findall(r"id (\d+)$", text, flags=re.M) == ["101", "102", "103"]
    assert {int(n) for n in re.findall(r"#(\d+)[ ,]", text)} == {101, 102}


def test_a_view_along_minus_z_has_the_axes_of_the_scene():
    position = camera_position(FRONT, 500.0)
    np.testing.assert_allclose(position, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 500]], atol=1e-12)


def test_a_camera_looks_along_its_minus_z_axis_with_up_on_the_screen():
    rotation = Rotation.from_euler("xyz", (20, -50, 70), degrees=True).as_matrix()
    view = ChimeraView(
        centre=(5, -3, 8), direction=tuple(-rotation[:, 2]), up=tuple(rotation[:, 1]), width=100.0
    )
    position = camera_position(view, 300.0)
    np.testing.assert_allclose(position[:, :3], rotation, atol=1e-12)
    points = np.array([5, -3, 8]) + np.vstack([np.zeros(3), 10 * rotation.T])
    expected = [[0, 0, -300], [10, 0, -300], [0, 10, -300], [0, 0, -290]]
    np.testing.assert_allclose(project(position, points), expected, atol=1e-9)


def test_the_rotation_centre_of_the_map_is_at_the_origin():
    text = format_chimerax([shown_map(box_size=48)])
    # ChimeraX: the origin of voxel 0 is minus the index times the voxel size
    index = numbers_after(text.replace(" step 1 region all", ""), "volume #1 originIndex ")
    voxel_size = 4.0
    origin = -index * voxel_size
    np.testing.assert_allclose(origin + 24 * voxel_size, 0)


def test_the_width_of_a_parallel_view_is_what_chimerax_computes_at_the_pivot():
    text = format_chimerax([shown_map()], view=FRONT)
    commands = text.splitlines()
    start = "view matrix camera "
    first = next(line for line in commands if line.startswith(start))
    distance = float(first.split(",")[-1])
    fov = float(re.search(r"fieldOfView (\S+)", text)[1])
    assert distance * np.radians(fov) == pytest.approx(200.0, rel=1e-5)
    order = [commands.index(line) for line in (first, "camera ortho")]
    assert order[0] < order[1] < len(commands) - 1
    assert numbers_after(text, start)[-1] == 2000.0  # outside of the map
    assert "cofr 0,0,0" in commands


def test_a_view_in_perspective_keeps_its_angle_and_width():
    view = ChimeraView(
        centre=(0, 0, 0), direction=(0, 0, -1), up=(0, 1, 0), width=200.0, perspective=40.0
    )
    text = format_chimerax([shown_map()], view=view)
    distance = numbers_after(text, "view matrix camera ")[-1]
    assert 2 * distance * np.tan(np.radians(20)) == pytest.approx(200.0, rel=1e-4)
    assert "camera mono fieldOfView 40" in text
    assert "ortho" not in text


def test_a_map_that_was_moved_has_its_position():
    position = np.array([[0, -1, 0, 4], [1, 0, 0, 0], [0, 0, 1, -2.5]], float)
    text = format_chimerax([shown_map(), shown_map(path="b.mrc", position=position)])
    assert "view matrix models #2,0,-1,0,4,1,0,0,0,0,0,1,-2.5" in text
    assert "view matrix models #1" not in text


def test_models_have_numbers_in_order():
    lines = [ChimeraLines(path="axes.bild", name="D2 axes")]
    text = format_chimerax([shown_map(), shown_map(path="b.mrc")], lines)
    assert re.findall(r"^open (\S+) .*id (\d)$", text, flags=re.M) == [
        ("a.mrc", "1"),
        ("b.mrc", "2"),
        ("axes.bild", "3"),
    ]
    assert 'name "D2 axes"' in text
    assert "volume #2 style surface level 0.0125 color #56b4e9 show" in text


@pytest.mark.parametrize(
    ("path", "quoted"),
    [
        ("/data/run 1/a.mrc", '"/data/run 1/a.mrc"'),
        ('/data/"x"/a.mrc', "'/data/\"x\"/a.mrc'"),
        ("C:\\data\\a.mrc", '"C:\\\\data\\\\a.mrc"'),
        ("/data/a;b.mrc", '"/data/a;b.mrc"'),  # a semicolon would end the command
    ],
)
def test_paths_are_one_word(path, quoted):
    assert f"open {quoted} name" in format_chimerax([shown_map(path=path)])


def test_a_name_with_a_line_break_is_refused():
    with pytest.raises(InputError, match="control character"):
        format_chimerax([shown_map(name="a\nexit")])


def test_lines_are_cylinders_in_their_colours():
    text = format_bild(
        np.array([[0, 0, -50.0]]),
        np.array([[0, 0, 50.0]]),
        1.5,
        np.array([[1, 0.5, 0]]),
        "axes\nC2",
    )
    assert text.splitlines() == [
        ".comment axes C2",
        ".color 1.000 0.500 0.000",
        ".cylinder 0.000 0.000 -50.000 0.000 0.000 50.000 1.500",
    ]


@pytest.mark.parametrize("matrix", [np.diag([1, 1, -1, 1]), np.diag([2, 2, 2, 1.0])])
def test_a_map_that_is_mirrored_or_scaled_is_refused(matrix):
    with pytest.raises(InputError, match="my map is sheared, scaled or mirrored"):
        rigid_position(matrix, "my map")


def test_file_names_need_no_quotes():
    assert safe_name("run 1 class 2: D2/µ") == "run_1_class_2_D2"
    assert safe_name("..") == "map"


def make_program(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_chimerax_is_found_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_chimerax() is None or not str(find_chimerax()).startswith(str(tmp_path))
    program = make_program(tmp_path / "ChimeraX")
    assert find_chimerax() == program


def test_the_preferred_chimerax_comes_first(tmp_path, monkeypatch):
    make_program(tmp_path / "path" / "chimerax")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    mine = make_program(tmp_path / "mine")
    assert find_chimerax(str(mine)) == mine
    app = make_program(tmp_path / "ChimeraX-1.9.app/Contents/MacOS/ChimeraX")
    assert find_chimerax(str(tmp_path / "ChimeraX-1.9.app")) == app
    mine.chmod(0o644)
    if os.name == "posix":
        with pytest.raises(InputError, match="is not a program"):
            find_chimerax(str(mine))


def test_the_newest_installed_chimerax_is_found_by_its_number(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    versions = [tmp_path / f"ChimeraX-{n}" / "bin/ChimeraX" for n in ("1.9", "1.10", "1.10.1")]
    for order in (versions, versions[::-1]):
        monkeypatch.setattr(chimerax, "_installed", lambda order=order: order)
        assert find_chimerax() == versions[2]
