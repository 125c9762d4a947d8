"""Dock *Export*: what a viewer shows as a figure, a movie, or for ChimeraX."""
