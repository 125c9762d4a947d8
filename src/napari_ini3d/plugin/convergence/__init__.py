"""Dock *Convergence*: plots of a run, live or finished."""
