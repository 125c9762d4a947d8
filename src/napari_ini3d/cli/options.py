"""Command-line options made from the fields of `InitialModelSettings`."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from napari_ini3d._setting import FieldInfo
from napari_ini3d.errors import SettingsError
from napari_ini3d.runs import flag_of
from napari_ini3d.settings import (
    InitialModelSettings,
    SettingType,
    setting_types,
)


def settings_parameters() -> list[inspect.Parameter]:
    """Return one keyword parameter per setting, annotated for Typer."""
    kinds = setting_types()
    fields = dataclasses.fields(InitialModelSettings)
    return [_parameter(field, kinds[field.name]) for field in fields]


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameter `settings` of a command by one option per setting."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.name != "settings"]
    options = settings_parameters()
    names = [parameter.name for parameter in options]

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        chosen = {name: values.pop(name) for name in names}
        try:
            settings = InitialModelSettings(**chosen)
        except SettingsError as error:
            raise typer.BadParameter(str(error)) from error
        command(settings=settings, **values)

    wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *options)]
    )
    wrapper.__annotations__ = {}
    return wrapper


def _parameter(field: dataclasses.Field[Any], kind: SettingType) -> inspect.Parameter:
    info: FieldInfo = field.metadata["info"]
    plain: Any = kind.plain
    flag = flag_of(field.name)
    text = f"{info.help} ({info.unit})" if info.unit else info.help
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if plain is bool else flag,
        help=text,
        rich_help_panel=info.group,
        metavar="|".join(f"{choice:g}" for choice in info.choices) or None,
        **_bounds(info, plain),
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.default,
        annotation=Annotated[plain | None if kind.optional else plain, option],
    )


def _bounds(info: FieldInfo, plain: type) -> dict[str, Any]:
    """Return the limits in the type of the option, as Typer requires."""
    limits = {"min": info.minimum, "max": info.maximum}
    return {name: plain(limit) for name, limit in limits.items() if limit is not None}
