"""Point-group symmetry of a map: detect, align, impose, validate."""
