"""`ini3d symmetry` called in the tests, and what it is called with."""

import json
import re
from dataclasses import replace

import numpy as np
import starfile
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from napari_ini3d.cli.app import app
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

runner = CliRunner()
ROTATION = Rotation.from_euler("xyz", [20, 35, 50], degrees=True).as_matrix()
SHIFT = (4.0, -2.0, 1.5)
ANGLES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
ORIGINS = ["rlnOriginXAngst", "rlnOriginYAngst"]


def invoke(*arguments):
    return runner.invoke(app, ["symmetry", *map(str, arguments)])


def values(result):
    (line,) = result.stdout.splitlines()
    return json.loads(line)


def plain(text):
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]", "", text).split())


def poses(path, columns):
    return starfile.read(path)["particles"][columns].to_numpy()


def write_rotated_d2(folder, shift=SHIFT):
    """A D2 phantom off its axes: map, particles with poses; and the phantom on its axes."""
    phantom = make_phantom("D2", diameter=80.0, seed=4)
    rotated = replace(phantom, positions=phantom.positions @ ROTATION + np.array(shift))
    settings = SimulationSettings(number=6, box_size=32, pixel_size=4.0, ctf=False)
    simulated = simulate_particles(rotated, settings)
    write_dataset(folder, simulated, rotated)
    return phantom, rotated, simulated
