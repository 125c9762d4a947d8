"""Random streams of the engine: each purpose draws from ``default_rng([..., stream, ...])``.

With the seed of the settings, and the iteration or the number of a map, they make every random
choice reproducible without storing a generator.
"""

ORDER = 7
"""Order in which the particles are visited."""

START = 11
"""Random angles of the first maps."""

NOISE = 13
"""Images of the first noise estimate; added to the seed of their order."""

ROTATION = 17
"""Rotation of the grids as a whole, by iteration."""

CLASS_BIAS = 19
"""Preference of each particle for a class, while classes are annealed."""

UNITS = 23
"""Asymmetric units from which a relaxation starts."""

CONTROL_AXES = 29
"""Axes of the control with which the likelihood of a point group is compared."""
