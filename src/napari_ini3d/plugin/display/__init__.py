"""Dock *Map display*: the level of a map, the volume that it encloses, and dust."""
