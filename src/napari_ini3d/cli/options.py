"""Options made from the fields of `InitialModelSettings`, so that a setting exists once."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from napari_ini3d.errors import SettingsError
from napari_ini3d.runs import flag_of
from napari_ini3d.settings import (
    FieldInfo,
    InitialModelSettings,
    SettingType,
    setting_types,
)


def settings_parameters() -> list[inspect.Parameter]:
    """Return one keyword parameter per setting, annotated as Typer reads them."""
    kinds = setting_types()
    return [_parameter(field, kinds[field.name]) for field in dataclasses.fields(_SETTINGS)]


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command whose parameter `settings` is a record all the options that fill it."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.name != "settings"]
    made = settings_parameters()
    names = [parameter.name for parameter in made]

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        chosen = {name: values.pop(name) for name in names}
        try:
            settings = InitialModelSettings(**chosen)
        except SettingsError as error:
            raise typer.BadParameter(str(error)) from error
        command(settings=settings, **values)

    wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *made)]
    )
    wrapper.__annotations__ = {}
    return wrapper


_SETTINGS = InitialModelSettings


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
    """Return the range as Typer wants it: whole numbers for whole numbers."""
    limits = {"min": info.minimum, "max": info.maximum}
    return {name: plain(limit) for name, limit in limits.items() if limit is not None}
