"""Values of the plugin from napari's Preferences."""

from __future__ import annotations

from typing import Any

from napari.settings import get_plugin_settings

_PLUGIN = "napari-ini3d"


def read_preference(section: str, name: str, default: Any = None) -> Any:
    """Return a value; the default if it is not set, or the plugin is not registered with napari."""
    try:
        settings = get_plugin_settings(_PLUGIN)
    except KeyError:
        return default
    value = getattr(getattr(settings, section, None), name, None)
    return default if value is None else value
