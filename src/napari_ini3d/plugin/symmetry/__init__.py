"""The dock *Symmetry*: detect, align, impose and validate."""
