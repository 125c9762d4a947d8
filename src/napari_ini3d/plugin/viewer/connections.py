"""Connections of a widget to events of the viewer, which outlives the widget."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any
from weakref import ReferenceType, ref

from qtpy.QtCore import QObject

Callbacks = Mapping[str, Callable[..., None]]
"""From the name of an event, such as ``layers.events.removed``, to what is called."""


def unwrap_proxy(thing: Any) -> Any:
    """Return the viewer or layer behind a proxy of napari, which weak references do not keep."""
    return getattr(thing, "__wrapped__", thing)


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
