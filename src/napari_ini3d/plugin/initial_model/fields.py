"""One control for each setting, made from what the setting says about itself."""

from __future__ import annotations

import dataclasses
import html
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, FileEdit, FloatSpinBox, LineEdit, SpinBox
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QLabel, QWidget

from napari_ini3d.kernels import GpuInfo, list_gpus
from napari_ini3d.runs import flag_of
from napari_ini3d.settings import FieldInfo, InitialModelSettings, SettingType

MARK_COLOUR = "#d55e00"
"""Of a field with a problem: vermilion of Okabe and Ito, seen on dark and on light."""

_LABELS = {
    "ctf": "Correct for the CTF",
    "ctf_ignore_first_peak": "Ignore the CTF until its first peak",
    "tau2_fudge": "Regularisation T",
    "max_excluded": "Bad images, largest share",
    "write_every": "Iterations between files",
    "preread": "Hold all images in memory",
    "non_negative": "No negative density",
    "gridding_correction": "Correct for gridding",
    "scratch": "Scratch folder",
    "iterations": "Iterations, at most",
    "starts": "Random starts",
    "anneal_classes": "Keep classes alike at first",
    "symmetry_during_run": "Impose symmetry during the run",
    "max_resolution": "Finest resolution",
}
_LARGEST = 999_999


def label_of(name: str) -> str:
    """Return what a form calls a setting."""
    return _LABELS.get(name, name.replace("_", " ").capitalize())


def tooltip_of(name: str, info: FieldInfo) -> str:
    """Return help, range and the names that RELION and the command line have for a setting."""
    lines = [html.escape(info.help)]
    if info.minimum is not None or info.maximum is not None:
        lines.append(f"Range: {_range(info)}")
    if info.relion:
        lines.append(f"RELION: <code>{info.relion}</code>")
    lines.append(f"Command line: <code>{flag_of(name)}</code>")
    return f"<p>{'<br>'.join(lines)}</p>"  # a paragraph is wrapped, plain text is not


def _range(info: FieldInfo) -> str:
    unit = f" {info.unit}" if info.unit else ""
    if info.maximum is None:
        return f"{info.minimum:g}{unit} or more"
    return f"{info.minimum or 0:g} to {info.maximum:g}{unit}"


class SettingField(QObject):
    """The control of one setting, its label, and the problem that is said below it.

    A setting that may be left out has a number whose lowest value means "left out" and is shown
    as a word.

    Parameters
    ----------
    field : dataclasses.Field
        Of `InitialModelSettings`.
    kind : SettingType
    """

    changed = Signal()

    def __init__(self, field: dataclasses.Field[Any], kind: SettingType) -> None:
        super().__init__()
        self.name, self._kind = field.name, kind
        self.info: FieldInfo = field.metadata["info"]
        self.control = _make_control(field.name, self.info, kind)
        self.label = QLabel(label_of(field.name))
        self.problem = ProblemLabel()
        tooltip = tooltip_of(field.name, self.info)
        for widget in (self.label, self.editor):
            widget.setToolTip(tooltip)
        self.label.setBuddy(self.editor)
        self.editor.setAccessibleName(self.label.text())
        self.value = field.default
        self.control.changed.connect(lambda *_: self.changed.emit())

    @property
    def has_own_label(self) -> bool:
        """True where the control says itself what it is."""
        return self._kind.plain is bool

    @property
    def editor(self) -> QWidget:
        """The Qt widget of the control."""
        return self.control.native

    @property
    def value(self) -> Any:
        """What is chosen; None where it is left to the program."""
        if isinstance(self.control, FileEdit):
            return self.control.line_edit.native.text().strip() or None
        value = self.control.value
        if isinstance(self.control, LineEdit):
            return value.strip()
        if self._kind.optional and value <= self.control.min:
            return None
        return value

    @value.setter
    def value(self, value: Any) -> None:
        if isinstance(self.control, FileEdit):
            self.control.line_edit.native.setText(value or "")
        elif value is None:
            self.control.value = self.control.min
        else:
            if isinstance(self.control, FloatSpinBox):  # what was saved is shown to its last digit
                self.control.native.setDecimals(max(_decimals(self.info), _digits(value)))
            self._offer(value)
            self.control.value = value

    def _offer(self, value: Any) -> None:
        """Let a device be chosen that is not here: its problem is said, and it is not lost."""
        if self.name == "device" and value not in self.control.choices:
            self.control.choices = [*available_devices(), (value, value)]

    def show_automatic(self, text: str) -> None:
        """Show what the program would take where the setting is left out."""
        self.editor.setSpecialValueText(text)

    def mark(self, problem: str) -> None:
        """Say a problem below the control; none takes it away."""
        self.problem.show_problem(problem)
        mark_widget(self.editor, bool(problem))


class ProblemLabel(QLabel):
    """A line below a control that says what is wrong with it; takes no room when there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setStyleSheet(f"border-left: 3px solid {MARK_COLOUR}; padding-left: 4px;")
        self.hide()

    def show_problem(self, problem: str) -> None:
        """Show a problem, or hide."""
        self.setText(f"⚠ {problem}")
        self.setVisible(bool(problem))


def mark_widget(widget: QWidget, marked: bool) -> None:
    """Draw a frame around a control that has a problem."""
    name = type(widget).__name__
    widget.setStyleSheet(f"{name} {{ border: 1px solid {MARK_COLOUR}; }}" if marked else "")


class WheelGuard(QObject):
    """Lets the wheel scroll the form: a number changes by it only once it has been clicked."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the wheel from controls that have no focus."""
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False

    def watch(self, widget: QWidget) -> None:
        """Guard a widget and what is in it."""
        kinds = (QAbstractSpinBox, QComboBox)
        for each in [widget, *(w for kind in kinds for w in widget.findChildren(kind))]:
            if isinstance(each, kinds):
                each.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                each.installEventFilter(self)


def make_path_control(mode: str, pattern: str | None = None) -> FileEdit:
    """Return a line for a path with a button that opens a dialog."""
    control = FileEdit(mode=mode, filter=pattern, nullable=True)
    control.choose_btn.text = "…"
    control.choose_btn.native.setFixedWidth(32)
    control.choose_btn.native.setAccessibleName("Browse")
    control.line_edit.native.setText("")
    return control


def available_devices() -> list[tuple[str, str]]:
    """Return the devices that a run can be given here, as (what is shown, value)."""
    cards = list_gpus()
    everything = "CPU" if not cards else cards[0].name if len(cards) == 1 else "all GPUs"
    return [
        (f"auto: {everything}", "auto"),
        ("cpu", "cpu"),
        *([("gpu: all cards", "gpu")] if len(cards) > 1 else []),
        *((_describe_gpu(card), f"gpu:{card.index}") for card in cards),
    ]


def _describe_gpu(card: GpuInfo) -> str:
    free, total = (n_bytes / 1e9 for n_bytes in (card.free_bytes, card.total_bytes))
    return f"gpu:{card.index} {card.name}, {free:.0f} of {total:.0f} GB free"


def _make_control(name: str, info: FieldInfo, kind: SettingType) -> Any:
    if name == "device":
        return ComboBox(choices=available_devices())
    if name == "scratch":
        return make_path_control("d")
    if kind.plain is bool:
        return CheckBox(text=label_of(name))
    if info.words:
        return ComboBox(choices=info.words)
    if info.choices:
        return ComboBox(choices=[(_shown(choice, info), choice) for choice in info.choices])
    if kind.plain is str:
        return LineEdit()
    return _make_number(info, kind)


def _make_number(info: FieldInfo, kind: SettingType) -> Any:
    whole = kind.plain is int
    low = 0 if kind.optional else (info.minimum or 0)
    high = info.maximum if info.maximum is not None else _LARGEST
    if whole:
        control = SpinBox(min=int(low), max=int(high))
    else:
        control = FloatSpinBox(min=low, max=high, step=_step(info))
        control.native.setDecimals(_decimals(info))
        control.native.setSuffix(f" {info.unit}" if info.unit else "")
    control.native.setKeyboardTracking(False)
    if kind.optional:
        control.native.setSpecialValueText("automatic")
    return control


def _step(info: FieldInfo) -> float:
    return 0.01 if info.maximum is not None and info.maximum <= 1 else 1.0


def _decimals(info: FieldInfo) -> int:
    return 3 if info.maximum is not None and info.maximum <= 1 else 1


def _digits(value: float) -> int:
    """Return the digits after the point of a number, as it is written."""
    _, _, fraction = f"{value:.6f}".rstrip("0").partition(".")
    return len(fraction)


def _shown(choice: float, info: FieldInfo) -> str:
    return f"{choice:g}{' ' if info.unit and info.unit != '°' else ''}{info.unit}"


def all_fields() -> list[SettingField]:
    """Return a control for every setting."""
    from napari_ini3d.settings import setting_types

    kinds = setting_types()
    return [SettingField(f, kinds[f.name]) for f in dataclasses.fields(InitialModelSettings)]
