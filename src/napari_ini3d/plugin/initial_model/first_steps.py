"""First steps in an empty window: particles, a sample, a run, a map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from weakref import ReferenceType

from napari.utils.notifications import show_error
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ini3d.errors import Ini3dError
from napari_ini3d.plugin.viewer import make_flow

if TYPE_CHECKING:
    import napari

_PLUGIN = "napari-ini3d"
_PARTICLES = "Particles (*.star *.cs)"
_MAPS = "Maps (*.mrc *.map *.ccp4 *.mrc.gz *.map.gz *.ccp4.gz)"


class FirstSteps(QWidget):
    """Buttons that lead out of an empty window.

    Parameters
    ----------
    viewer : weak reference to a napari viewer
        Opens what is chosen.

    Signals
    -------
    particles_chosen : str
        Path of a particle file.
    """

    particles_chosen = Signal(str)

    def __init__(self, viewer: ReferenceType[napari.Viewer]) -> None:
        super().__init__()
        self._viewer = viewer
        self.particles = QPushButton("Open particles …")
        self.sample = QPushButton("Try the sample")
        self.run = QPushButton("Open a run …")
        self.map = QPushButton("Open a map …")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        lead = QLabel("Drop a file or a run folder into the window, or:")
        lead.setWordWrap(True)
        column.addWidget(lead)
        column.addLayout(make_flow(*(button for button, _, _ in self._steps())))
        for button, action, tip in self._steps():
            button.clicked.connect(action)
            button.setToolTip(f"<p>{tip}</p>")

    def _steps(self) -> tuple[tuple[QPushButton, object, str], ...]:
        return (
            (self.particles, self._on_particles, "A particles.star, or a .cs of cryoSPARC."),
            (
                self.sample,
                self._on_sample,
                "800 simulated particles of a tetramer with D2 symmetry. A run takes half a minute "
                "on two cores.",
            ),
            (
                self.run,
                self._on_run,
                "The output folder of a run. One that is going on is followed, of others the "
                "iterations are shown.",
            ),
            (self.map, self._on_map, "A map, to find its symmetry or compare it with another."),
        )

    def _on_particles(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Open particles", "", _PARTICLES)
        if name:
            self.particles_chosen.emit(name)

    def _on_sample(self) -> None:
        viewer = self._viewer()
        if viewer is not None:
            viewer.open_sample(_PLUGIN, "d2_particles")

    def _on_run(self) -> None:
        self._open(QFileDialog.getExistingDirectory(self, "Open a run folder"))

    def _on_map(self) -> None:
        self._open(QFileDialog.getOpenFileName(self, "Open a map", "", _MAPS)[0])

    def _open(self, name: str) -> None:
        viewer = self._viewer()
        if viewer is None or not name:
            return
        try:
            viewer.open(str(Path(name)), plugin=_PLUGIN)
        except (Ini3dError, ValueError) as error:  # ValueError: no reader takes it
            show_error(str(error))
