"""Open a run in napari from a script; one that is going on is followed as it is computed.

usage: python follow_in_napari.py RUN_FOLDER
"""

import sys

import napari

viewer = napari.Viewer(ndisplay=3)
viewer.window.add_plugin_dock_widget("napari-ini3d", "Initial model")
viewer.window.add_plugin_dock_widget("napari-ini3d", "Convergence")
viewer.open(sys.argv[1], plugin="napari-ini3d")

if __name__ == "__main__":
    napari.run()
