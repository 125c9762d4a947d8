"""Dock *Particles*: the images of a run beside their reprojections, and its junk."""
