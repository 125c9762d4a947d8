"""Widgets and their viewer: objects of a viewer, and connections to its events."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Generic, TypeVar
from weakref import ReferenceType, WeakKeyDictionary, ref

from qtpy.QtCore import QObject

T = TypeVar("T")

Callbacks = Mapping[str, Callable[..., None]]
"""From the name of an event, such as ``layers.events.removed``, to what is called."""


def unwrap_proxy(thing: Any) -> Any:
    """Return the viewer or layer behind a proxy of napari, which weak references do not keep."""
    return getattr(thing, "__wrapped__", thing)


class PerViewer(Generic[T]):
    """Objects of which each viewer has one, as long as it exists.

    Parameters
    ----------
    make : callable
        Takes a viewer (itself, not a proxy), and returns its object.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._made: WeakKeyDictionary[Any, T] = WeakKeyDictionary()

    def of(self, viewer: Any) -> T:
        """Return the object of a viewer, or of the viewer behind a proxy; the same each time."""
        real = unwrap_proxy(viewer)
        if real not in self._made:
            self._made[real] = self._make(real)
        return self._made[real]

    def all(self) -> list[T]:
        """Return the objects of all viewers."""
        return list(self._made.values())


def connect_to_viewer(widget: QObject, viewer: Any, callbacks: Callbacks) -> None:
    """Connect callbacks to events of a viewer until the widget is destroyed.

    Parameters
    ----------
    widget : QObject
        The owner of the callbacks.
    viewer : napari viewer
        Itself, not a proxy.
    callbacks : mapping
    """
    for event, callback in callbacks.items():
        attrgetter(event)(viewer).connect(callback)
    widget.destroyed.connect(functools.partial(disconnect_from_viewer, ref(viewer), callbacks))


def disconnect_from_viewer(
    viewer: ReferenceType[Any], callbacks: Callbacks, *_destroyed: object
) -> None:
    """Disconnect callbacks from the events of a viewer, unless it is gone."""
    existing = viewer()
    if existing is not None:
        for event, callback in callbacks.items():
            attrgetter(event)(existing).disconnect(callback)


def connect_to_layers(
    widget: QObject, viewer: Any, event: str, callback: Callable[[Any], None]
) -> None:
    """Connect a callback to an event of all layers, also later ones, until a widget is destroyed.

    Parameters
    ----------
    widget : QObject
        The owner of the callback.
    viewer : napari viewer
        Itself, not a proxy.
    event : str
        Such as ``visible``.
    callback : callable
        Takes the event.
    """

    def connect(inserted: Any) -> None:
        getattr(inserted.value.events, event).connect(callback)

    viewer.layers.events.inserted.connect(connect)
    for layer in viewer.layers:
        getattr(layer.events, event).connect(callback)
    leave = functools.partial(_disconnect_from_layers, ref(viewer), event, callback, connect)
    widget.destroyed.connect(leave)


def _disconnect_from_layers(
    viewer: ReferenceType[Any],
    event: str,
    callback: Callable[[Any], None],
    connect: Callable[[Any], None],
    *_destroyed: object,
) -> None:
    existing = viewer()
    if existing is None:
        return
    existing.layers.events.inserted.disconnect(connect)
    for layer in existing.layers:
        getattr(layer.events, event).disconnect(callback)
