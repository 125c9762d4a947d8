"""Table of the settings in docs/options.md: `python docs/make_options.py` rewrites it."""

import dataclasses
from pathlib import Path
from typing import Any

from napari_ini3d._setting import FieldInfo
from napari_ini3d.runs import flag_of
from napari_ini3d.settings import InitialModelSettings, format_setting

BEGIN, END = "<!-- options: begin -->", "<!-- options: end -->"
PAGE = Path(__file__).parent / "options.md"


def format_table() -> str:
    """Return the options of `ini3d run` as a Markdown table."""
    lines = ["| option | default | RELION | description |", "| --- | --- | --- | --- |"]
    lines += [_format_row(field) for field in dataclasses.fields(InitialModelSettings)]
    return "\n".join(lines)


def insert_table(text: str) -> str:
    """Return the page with a new table between its two markers."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{format_table()}\n{END}{after}"


def _format_row(field: dataclasses.Field[Any]) -> str:
    info: FieldInfo = field.metadata["info"]
    relion = f"`{info.relion}`" if info.relion else ""
    default = format_setting(field.name, field.default)
    return f"| `{flag_of(field.name)}` | {default} | {relion} | {info.help} |"


if __name__ == "__main__":
    PAGE.write_text(insert_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
