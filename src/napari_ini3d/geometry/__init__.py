"""Rotations: Euler angles, HEALPix, sampling grids, point groups (RELION's conventions)."""
