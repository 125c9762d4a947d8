"""The dock *Convergence*: plots of a run, live and afterwards."""
