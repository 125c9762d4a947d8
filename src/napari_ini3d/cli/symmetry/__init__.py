"""The `ini3d symmetry` commands."""
