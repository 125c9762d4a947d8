"""Criterion of the resolution of a map of an iteration. This module loads no other."""

MAP_FSC = 0.5
"""FSC between the half-sets of an iteration, which are aligned to one map."""

MAP_CRITERION = f"FSC {MAP_FSC}"
"""The same in words, for every resolution that is shown."""
