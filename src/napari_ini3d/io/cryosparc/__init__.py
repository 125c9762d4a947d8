"""cryoSPARC's particle files: `.cs` datasets and `.csg` result groups."""
