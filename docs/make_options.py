"""Write the table of options into README.md: `python docs/make_options.py`."""

import dataclasses
from pathlib import Path
from typing import Any

from napari_ini3d.settings import FieldInfo, InitialModelSettings

BEGIN, END = "<!-- options: begin -->", "<!-- options: end -->"
README = Path(__file__).parents[1] / "README.md"


def format_table() -> str:
    """Return the options of `ini3d run` as a Markdown table."""
    lines = ["| option | default | RELION | what it does |", "| --- | --- | --- | --- |"]
    lines += [_format_row(field) for field in dataclasses.fields(InitialModelSettings)]
    return "\n".join(lines)


def insert_table(text: str) -> str:
    """Return the README with the table between its two marks replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{format_table()}\n{END}{after}"


def _format_row(field: dataclasses.Field[Any]) -> str:
    info: FieldInfo = field.metadata["info"]
    flag = "--" + field.name.replace("_", "-")
    relion = f"`{info.relion}`" if info.relion else ""
    default = "none" if field.name == "scratch" else _format_default(field.default, info)
    return f"| `{flag}` | {default} | {relion} | {info.help} |"


def _format_default(value: Any, info: FieldInfo) -> str:
    if value is None:
        return "automatic"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text} {info.unit}".rstrip()


if __name__ == "__main__":
    README.write_text(insert_table(README.read_text(encoding="utf-8")), encoding="utf-8")
