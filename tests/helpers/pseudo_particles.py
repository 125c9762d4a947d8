"""Particles of a phantom of which one subunit differs, in poses of random asymmetric units."""

from dataclasses import dataclass, replace

import numpy as np

from napari_ini3d.geometry import euler_to_matrix, symmetry_operators
from napari_ini3d.simulation import (
    Phantom,
    SimulatedParticles,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)


@dataclass(frozen=True)
class Pseudo:
    """Images, true matrices, the phantom and the one with all subunits alike."""

    simulated: SimulatedParticles
    truth: np.ndarray
    phantom: Phantom
    symmetric: Phantom
    unit: np.ndarray

    @property
    def given(self):
        """Matrices of the poses in random units, (N, 3, 3)."""
        return self.truth @ symmetry_operators(self.symmetric.symmetry)[self.unit]

    @property
    def origins(self):
        """Å, (N, 2)."""
        return np.stack([self.simulated.truth.origin_x, self.simulated.truth.origin_y], axis=1)


def pseudo_particles(group, scales, *, number=300, box_size=32, pixel_size=4.5, snr=0.2, seed=1):
    """Simulate particles; `scales` multiplies the weight of copies by their operator."""
    operators = symmetry_operators(group)
    symmetric = make_phantom(
        group, seed=seed, diameter=0.62 * box_size * pixel_size, domains=3, domain_radius=(7, 16)
    )
    weights = symmetric.weights.reshape(len(operators), -1).copy()
    for copy, scale in scales.items():
        weights[copy] *= scale
    phantom = replace(symmetric, weights=weights.ravel())
    settings = SimulationSettings(
        number=number, box_size=box_size, pixel_size=pixel_size, snr=snr, seed=seed
    )
    simulated = simulate_particles(phantom, settings)
    poses = simulated.truth
    truth = euler_to_matrix(poses.rot, poses.tilt, poses.psi)
    unit = np.random.default_rng(seed).integers(0, len(operators), number)
    return Pseudo(simulated, truth, phantom, symmetric, unit)


def share_in_place(truth, found, operators):
    """Return the share of particles in the right unit, up to one relabelling of all units.

    Parameters
    ----------
    truth, found : (N, 3, 3)
        Matrices of poses.
    operators : (H, 3, 3)
        Of the subgroup that the structure has.
    """
    net = truth.transpose(0, 2, 1) @ found  # the same for all particles in their place
    names = net[:: max(1, len(net) // 50)]
    equal = (operators[:, None] @ names).transpose(1, 0, 2, 3)  # (names, H, 3, 3)
    apart = np.abs(net[:, None, None] - equal[None]).max(axis=(3, 4)).min(axis=2)  # (N, names)
    return float((apart < 0.05).mean(axis=0).max())
