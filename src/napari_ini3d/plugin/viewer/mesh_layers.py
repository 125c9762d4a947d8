"""Meshes in place of the volumes of map layers, where volumes are drawn too slowly.

The layer of a map stays: it keeps the values, level, placement and visibility, and everything that
works on maps works on it. Only its volume is not drawn: a plane of napari outside the box takes its
place, in the rendering that costs least where nothing is drawn (a quarter of the time of *iso*). A
surface layer beside it shows its mesh. If the user removes the mesh, or sets the depiction of the
map to *volume* or its rendering to *iso* in napari's controls, the volume is drawn again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

import numpy as np
from napari.layers import Image, Surface
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ini3d._types import AnyArray, FloatArray
from napari_ini3d.errors import Ini3dError
from napari_ini3d.plugin import MAP_AXES, METADATA_KEY
from napari_ini3d.plugin.viewer.dependent_layers import remove_dependent
from napari_ini3d.plugin.viewer.map_axes import recorded_axes
from napari_ini3d.plugin.viewer.map_results import MapToken
from napari_ini3d.plugin.viewer.map_surface import LIGHT, MapSurface, find_surface
from napari_ini3d.plugin.viewer.screen import directions_in_layer, screen_directions
from napari_ini3d.plugin.viewer.shown_volume import shown_volume
from napari_ini3d.plugin.viewer.surface_colours import BY_AGREEMENT, Colouring, vertex_colours
from napari_ini3d.plugin.viewer.task_runner import Task, TaskRunner
from napari_ini3d.symmetry import Subunit

if TYPE_CHECKING:
    import napari

logger = logging.getLogger(__name__)

_OUTSIDE = -1e6  # voxels
_CHEAPEST = "average"  # of the renderings, where nothing is drawn
_REST_MS = 150
_PLACES = ("scale", "translate", "rotate", "shear", "affine", "units")


class MapMesh(QObject):
    """The mesh of a map layer; it follows the layer.

    Parameters
    ----------
    viewer : napari viewer
    layer : Image

    Signals
    -------
    updated
        The mesh is up to date with the map and its level.

    Attributes
    ----------
    surface : MapSurface or None
        The mesh and the enclosed volume; None before they were computed first.
    dust : int
        Voxels; smaller parts are left out.
    colouring : Colouring
    ended : bool
        True after the volume is drawn again.
    """

    updated = Signal()

    def __init__(self, viewer: napari.Viewer, layer: Image) -> None:
        super().__init__()
        self._viewer: ReferenceType[Any] = ref(viewer)
        self._layer = ref(layer)
        self.surface: MapSurface | None = None
        self.dust = 0
        self.colouring: Colouring = "plain"
        self.ended = False
        self._mesh: ReferenceType[Surface] | None = None
        self._tasks = TaskRunner(self, quiet=True)
        self._tasks.changed.connect(self._on_task)
        self._timer = QTimer(self)  # values and level are changed one after the other
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._start)
        self._agreement: tuple[MapToken, FloatArray] | None = None
        self._coloured: tuple[Subunit, ...] = ()
        self._turned = QTimer(self)  # the light follows the camera when it has come to rest
        self._turned.setSingleShot(True)
        self._turned.setInterval(_REST_MS)
        self._turned.timeout.connect(self._light_again)
        viewer.scene.camera.events.angles.connect(self._on_turned)
        self._outdated = self._changing = self._badly_lit = self._given = False
        self._follow(layer)
        self._add(viewer, layer)
        self._compute()

    @property
    def layer(self) -> Image | None:
        """The layer of the map; None after it was removed."""
        return self._layer()

    @property
    def mesh(self) -> Surface | None:
        """The layer of the mesh; None before it was computed first."""
        return None if self._mesh is None else self._mesh()

    @property
    def busy(self) -> bool:
        """True until the mesh is up to date."""
        return self._outdated or self._tasks.busy

    def hide_dust(self, voxels: int) -> None:
        """Leave out parts of fewer voxels."""
        if voxels != self.dust:
            self.dust = voxels
            self._compute()

    def colour_by(self, colouring: Colouring) -> None:
        """Colour the mesh, also that of later maps and levels.

        By copies as long as the map is shown whose pseudo-symmetry was recorded.
        """
        if colouring != self.colouring or (
            colouring == "copies" and self._coloured != self._shown_subunits()
        ):
            self.colouring = colouring
            self._redraw()

    def colour_by_agreement(
        self, agreement: FloatArray, colouring: Colouring = "agreement"
    ) -> None:
        """Colour the mesh by a local correlation (n, n, n): of half-maps of this map, or starts."""
        viewer, layer = self._viewer(), self.layer
        if viewer is not None and layer is not None:
            self._agreement = (MapToken.of(viewer, layer), agreement)
            self.colouring = colouring
            self._redraw()

    def end(self) -> None:
        """Draw the volume again, and remove the mesh."""
        viewer, layer, mesh = self._viewer(), self.layer, self.mesh
        self._timer.stop()
        self._turned.stop()
        self._tasks.cancel()
        if viewer is not None:
            viewer.scene.camera.events.angles.disconnect(self._on_turned)
        self._mesh, self.ended = None, True
        if layer is not None:
            self._unfollow(layer)
            layer.depiction = "volume"
            layer.rendering = "iso"
        if viewer is not None and mesh is not None:
            remove_dependent(viewer, mesh)

    @contextmanager
    def replaced_by(self, surface: MapSurface, level: float) -> Iterator[None]:
        """Show a mesh that is known already, after the map is replaced within this context.

        If the level is another by then, the mesh is computed.
        """
        self._given = True
        try:
            yield
        finally:
            self._given = False
            layer = self.layer
            if layer is None or not np.isclose(float(layer.iso_threshold), level):
                self._compute()
            else:
                self._timer.stop()
                self._tasks.cancel()  # of the map before
                self._outdated = False
                self._show_surface(surface)

    # -- following the map ------------------------------------------------------------------

    def _follow(self, layer: Image) -> None:
        with self._own_change():
            layer.plane = {"position": (_OUTSIDE,) * 3, "normal": (1, 0, 0), "thickness": 1}
            layer.depiction = "plane"
            layer.rendering = _CHEAPEST
        for name, callback in self._callbacks(layer).items():
            getattr(layer.events, name).connect(callback)

    def _unfollow(self, layer: Image) -> None:
        for name, callback in self._callbacks(layer).items():
            getattr(layer.events, name).disconnect(callback)

    def _callbacks(self, layer: Image) -> dict[str, Callable[[Any], None]]:
        """Return what is called after each event of the map."""
        return {
            "iso_threshold": self._compute,
            "data" if layer.ndim == 3 else "set_data": self._compute,
            **dict.fromkeys(_PLACES, self._place),
            "visible": self._show,
            "name": self._rename,
            "colormap": self._colour,
            "depiction": self._on_rendering,
            "rendering": self._on_rendering,
        }

    def _on_rendering(self, _event: Any) -> None:
        layer = self.layer
        if layer is None or self._changing:
            return
        if layer.depiction == "volume" or layer.rendering != _CHEAPEST:
            self.end()

    def _compute(self, _event: Any = None) -> None:
        """Compute the mesh in a thread; only the last request counts."""
        if self._given:
            return
        self._outdated = True
        if not self._tasks.busy:
            self._timer.start()

    def _start(self) -> None:
        viewer, layer = self._viewer(), self.layer
        if viewer is None or layer is None:
            return
        self._outdated = False
        level, dust = float(layer.iso_threshold), self.dust
        try:
            volume = shown_volume(viewer, layer)
        except (Ini3dError, OSError):  # which the layer has said; it shows nothing
            volume = np.zeros(layer.data.shape[-3:], np.float32)
        self._tasks.start(
            Task("Mesh"), lambda _: find_surface(volume, level, smallest=dust), self._show_surface
        )

    def _on_task(self) -> None:
        """Draw the volume again if no mesh can be made of it."""
        error = self._tasks.error
        if error is not None and not self.ended:
            logger.warning("no mesh of a map can be made (%s); it is drawn as a volume", error)
            self.end()

    def _show_surface(self, surface: MapSurface) -> None:
        viewer, layer = self._viewer(), self.layer
        if viewer is None or layer is None or layer not in viewer.layers:
            return
        self.surface = surface
        self._draw(surface)
        if self._outdated:
            self._timer.start()
        if not self.busy:
            self.updated.emit()

    def _draw(self, surface: MapSurface) -> None:
        layer, mesh = self.layer, self.mesh
        if layer is None or mesh is None:
            return
        if mesh.vertex_colors is not None:
            mesh.vertex_colors = None  # they belong to the vertices of before
        surface = surface.lit_from(self._light(mesh))
        mesh.data = mesh_data(surface)
        agreement, self._coloured = self._shown_agreement(), self._shown_subunits()
        if self.colouring == "copies" and not self._coloured:
            self.colouring = "plain"
        colours = vertex_colours(
            surface,
            self.colouring,
            layer.data.shape[-1],
            agreement=agreement,
            subunits=self._coloured,
        )
        if colours is not None:
            mesh.vertex_colors = colours

    def _redraw(self) -> None:
        if self.surface is not None:
            self._draw(self.surface)

    def _on_turned(self, _event: Any) -> None:
        self._turned.start()

    def _light_again(self) -> None:
        """Draw the mesh in the light of now; a hidden one when it is shown."""
        layer = self.layer
        self._badly_lit = layer is not None and not layer.visible
        if not self._badly_lit:
            self._redraw()

    def _light(self, mesh: Surface) -> FloatArray:
        """Return where the light comes from, (z, y, x) of the mesh."""
        viewer = self._viewer()
        if viewer is None:
            return np.array(LIGHT[::-1])
        light = np.array([LIGHT]) @ screen_directions(viewer)  # (1, 3)
        corners = np.concatenate([np.zeros((1, 3)), np.eye(3)])
        scene = np.array([mesh.data_to_world(corner) for corner in corners])[:, -3:]
        return directions_in_layer(light, (scene[1:] - scene[0]).T)[0, ::-1]

    def _shown_agreement(self) -> FloatArray | None:
        """Return the agreement for the map that is shown; that of another is forgotten."""
        viewer, layer = self._viewer(), self.layer
        if self._agreement is None or viewer is None or layer is None:
            return None
        token, agreement = self._agreement
        if token.is_shown(viewer, layer):
            return agreement
        self._agreement = None
        if self.colouring in BY_AGREEMENT:
            self.colouring = "plain"
        return None

    def _shown_subunits(self) -> tuple[Subunit, ...]:
        """Return the subunits of the pseudo-symmetry that was found in the map that is shown."""
        viewer, layer = self._viewer(), self.layer
        found = None if viewer is None or layer is None else recorded_axes(viewer, layer)
        return () if found is None else found.subunits

    def _add(self, viewer: Any, layer: Image) -> None:
        """Add the mesh, still empty."""
        mesh = Surface(
            mesh_data(None),
            name=f"{layer.name}: mesh",
            shading="none",  # napari's light is misplaced where axes are flipped, as for maps
            contrast_limits=(0.0, 1.0),
            colormap=layer.colormap,
            visible=layer.visible,
            units=layer.units[-3:],
            axis_labels=MAP_AXES,
            metadata={METADATA_KEY: {"kind": "mesh", "mesh_of": layer.unique_id}},
        )
        self._mesh = ref(mesh)
        selected = {*viewer.layers.selection}
        viewer.layers.insert(viewer.layers.index(layer) + 1, mesh)
        viewer.layers.selection = selected  # keep the controls of the map
        self._place()
        mesh.events.visible.connect(self._on_mesh_visible)

    def _place(self, _event: Any = None) -> None:
        layer, mesh = self.layer, self.mesh
        if layer is None or mesh is None:
            return
        mesh.units = layer.units[-3:]
        mesh.scale, mesh.translate = layer.scale[-3:], layer.translate[-3:]
        mesh.rotate, mesh.shear = layer.rotate[-3:, -3:], layer.shear[-3:]
        whole = np.asarray(layer.affine.affine_matrix)
        keep = [*range(len(whole) - 4, len(whole))]
        mesh.affine = whole[np.ix_(keep, keep)]

    def _show(self, _event: Any = None) -> None:
        layer, mesh = self.layer, self.mesh
        if layer is not None and mesh is not None and mesh.visible != layer.visible:
            mesh.visible = layer.visible
        if self._badly_lit:
            self._light_again()

    def _on_mesh_visible(self, _event: Any) -> None:
        layer, mesh = self.layer, self.mesh
        if layer is not None and mesh is not None and mesh.visible != layer.visible:
            layer.visible = mesh.visible

    def _rename(self, _event: Any = None) -> None:
        layer, mesh = self.layer, self.mesh
        if layer is not None and mesh is not None:
            mesh.name = f"{layer.name}: mesh"

    def _colour(self, _event: Any = None) -> None:
        layer, mesh = self.layer, self.mesh
        if layer is not None and mesh is not None:
            mesh.colormap = layer.colormap

    @contextmanager
    def _own_change(self) -> Iterator[None]:
        self._changing = True
        try:
            yield
        finally:
            self._changing = False


def mesh_data(surface: MapSurface | None) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return vertices, faces and values for napari, which needs at least one face."""
    if surface is None or not len(surface.faces):
        return np.zeros((3, 3), np.float32), np.array([[0, 1, 2]]), np.zeros(3, np.float32)
    return surface.vertices, surface.faces, surface.brightness
