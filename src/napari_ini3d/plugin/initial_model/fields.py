"""Controls of the settings, made from the type, range and help text of each setting."""

from __future__ import annotations

import dataclasses
import html
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, FileEdit, FloatSpinBox, LineEdit, SpinBox
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QLabel, QLineEdit, QWidget

from napari_ini3d._setting import FieldInfo
from napari_ini3d.kernels import GpuInfo, list_gpus
from napari_ini3d.runs import flag_of
from napari_ini3d.settings import InitialModelSettings, SettingType

MARK_COLOUR = "#d55e00"
"""Colour of a field with a problem: vermilion of Okabe and Ito, visible on dark and light."""

_LABELS = {
    "ctf": "CTF correction",
    "ctf_ignore_first_peak": "Ignore CTF until first peak",
    "tau2_fudge": "Regularisation T",
    "max_excluded": "Max. fraction of bad images",
    "write_every": "Write maps every (iterations)",
    "preread": "Pre-read all images into memory",
    "non_negative": "Non-negative density",
    "gridding_correction": "Gridding correction",
    "scratch": "Scratch directory",
    "iterations": "Max. iterations",
    "starts": "Random starts",
    "max_starts": "Maximum random starts",
    "anneal_classes": "Anneal classes",
    "symmetry_during_run": "Impose during the run",
    "max_resolution": "Max. resolution",
}
_LARGEST = 999_999
_LONGEST_AUTOMATIC = "auto: 1000 Å"  # text of an optional number
_SPIN_BUTTONS = 66  # pixels of the buttons of a number in napari's style


def label_of(name: str) -> str:
    """Return the label of a setting."""
    return _LABELS.get(name, name.replace("_", " ").capitalize())


def tooltip_of(name: str, info: FieldInfo) -> str:
    """Return help text, range and the options of RELION and the command line for a setting."""
    lines = [html.escape(info.help)]
    if info.minimum is not None or info.maximum is not None:
        lines.append(f"Range: {_range(info)}")
    if info.relion:
        lines.append(f"RELION: <code>{info.relion}</code>")
    lines.append(f"ini3d: <code>{flag_of(name)}</code>")
    return f"<p>{'<br>'.join(lines)}</p>"  # a paragraph is wrapped, plain text is not


def _range(info: FieldInfo) -> str:
    unit = f" {info.unit}" if info.unit else ""
    if info.maximum is None:
        return f"{info.minimum:g}{unit} or more"
    return f"{info.minimum or 0:g} to {info.maximum:g}{unit}"


class SettingField(QObject):
    """The control of one setting, with its label and the problem shown below it.

    An optional setting is automatic at the lowest value of its control, which shows a word there.

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
        self.label.setWordWrap(True)
        self.problem = ProblemLabel()
        tooltip = tooltip_of(field.name, self.info)
        for widget in (self.label, self.editor, *self.editor.findChildren(QLineEdit)):
            widget.setToolTip(tooltip)
        self.label.setBuddy(self.editor)
        self.editor.setAccessibleName(self.label.text())
        self.value = field.default
        self.control.changed.connect(lambda *_: self.changed.emit())

    @property
    def has_own_label(self) -> bool:
        """True if the control shows its label itself."""
        return self._kind.plain is bool

    @property
    def _shows_fractions(self) -> bool:
        return isinstance(self.control, FloatSpinBox) and self._kind.plain is float

    @property
    def editor(self) -> QWidget:
        """The Qt widget of the control."""
        return self.control.native

    @property
    def value(self) -> Any:
        """The chosen value; None for automatic."""
        if isinstance(self.control, FileEdit):
            return self.control.line_edit.native.text().strip() or None
        value = self.control.value
        if isinstance(self.control, LineEdit):
            return value.strip()
        if self._kind.optional and value <= self.control.min:
            return None
        return int(value) if self._kind.plain is int else value

    @value.setter
    def value(self, value: Any) -> None:
        if isinstance(self.control, FileEdit):
            self.control.line_edit.native.setText(value or "")
        elif value is None:
            self.control.value = self.control.min
        else:
            if self._shows_fractions:  # show every digit of a saved value
                self.control.native.setDecimals(max(_decimals(self.info), _digits(value)))
            self._add_device(value)
            self.control.value = value

    def _add_device(self, value: Any) -> None:
        """Add a device of another machine to the list, so that a loaded choice is not lost."""
        if self.name == "device" and value not in self.control.choices:
            self.control.choices = [*available_devices(), (value, value)]

    def show_automatic(self, text: str) -> None:
        """Set the text that is shown for automatic."""
        self.editor.setSpecialValueText(text)

    def mark(self, problem: str) -> None:
        """Show a problem below the control; an empty text removes it."""
        self.problem.show_problem(problem)
        mark_widget(self.editor, bool(problem))


class ProblemLabel(QLabel):
    """A problem below a control; hidden if there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setStyleSheet(f"border-left: 3px solid {MARK_COLOUR}; padding-left: 4px;")
        self.hide()

    def show_problem(self, problem: str) -> None:
        """Show a problem; an empty text hides the label."""
        self.setText(f"⚠ {problem}")
        self.setVisible(bool(problem))


def mark_widget(widget: QWidget, marked: bool) -> None:
    """Frame a control that has a problem."""
    name = type(widget).__name__
    widget.setStyleSheet(f"{name} {{ border: 1px solid {MARK_COLOUR}; }}" if marked else "")


class WheelGuard(QObject):
    """Lets the mouse wheel scroll the form: it changes a number only if the control has focus."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ignore the wheel on controls without focus."""
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False

    def watch(self, widget: QWidget) -> None:
        """Watch a widget and its children."""
        kinds = (QAbstractSpinBox, QComboBox)
        for each in [widget, *(w for kind in kinds for w in widget.findChildren(kind))]:
            if isinstance(each, kinds):
                each.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                each.installEventFilter(self)


def make_path_control(mode: str, pattern: str | None = None) -> FileEdit:
    """Return a text field for a path, with a button that opens a file dialog."""
    control = FileEdit(mode=mode, filter=pattern, nullable=True)
    control.choose_btn.text = "…"
    control.choose_btn.native.setFixedWidth(32)
    control.choose_btn.native.setAccessibleName("Browse")
    control.choose_btn.native.setToolTip("<p>Choose in a dialog.</p>")
    control.line_edit.native.setText("")
    return control


def available_devices() -> list[tuple[str, str]]:
    """Return the devices of this machine as (text, value)."""
    gpus = list_gpus()
    everything = "CPU" if not gpus else gpus[0].name if len(gpus) == 1 else "all GPUs"
    return [
        (f"auto: {everything}", "auto"),
        ("cpu", "cpu"),
        *([("gpu: all GPUs", "gpu")] if len(gpus) > 1 else []),
        *((_describe_gpu(gpu), f"gpu:{gpu.index}") for gpu in gpus),
    ]


def _describe_gpu(gpu: GpuInfo) -> str:
    free, total = (n_bytes / 1e9 for n_bytes in (gpu.free_bytes, gpu.total_bytes))
    return f"gpu:{gpu.index} {gpu.name}, {free:.0f} of {total:.0f} GB free"


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
        return ComboBox(choices=[(_format_choice(choice, info), choice) for choice in info.choices])
    if kind.plain is str:
        return LineEdit()
    return _make_number(info, kind)


def _make_number(info: FieldInfo, kind: SettingType) -> Any:
    whole = kind.plain is int
    low = 0 if kind.optional else (info.minimum or 0)
    high = info.maximum if info.maximum is not None else _LARGEST
    if whole and not kind.optional:
        control = SpinBox(min=int(low), max=int(high))
    else:  # the box of whole numbers cannot show a word at its lowest value
        control = FloatSpinBox(min=low, max=high, step=1.0 if whole else _step(info))
        control.native.setDecimals(0 if whole else _decimals(info))
        control.native.setSuffix(f" {info.unit}" if info.unit else "")
    control.native.setKeyboardTracking(False)
    if kind.optional:
        control.native.setSpecialValueText("automatic")
        text_width = control.native.fontMetrics().horizontalAdvance(_LONGEST_AUTOMATIC)
        control.native.setMinimumWidth(text_width + _SPIN_BUTTONS)
    return control


def _step(info: FieldInfo) -> float:
    return 0.01 if info.maximum is not None and info.maximum <= 1 else 1.0


def _decimals(info: FieldInfo) -> int:
    return 3 if info.maximum is not None and info.maximum <= 1 else 1


def _digits(value: float) -> int:
    """Return the number of digits after the decimal point."""
    _, _, fraction = f"{value:.6f}".rstrip("0").partition(".")
    return len(fraction)


def _format_choice(choice: float, info: FieldInfo) -> str:
    return f"{choice:g}{' ' if info.unit and info.unit != '°' else ''}{info.unit}"


def all_fields() -> list[SettingField]:
    """Return a control for every setting."""
    from napari_ini3d.settings import setting_types

    kinds = setting_types()
    return [SettingField(f, kinds[f.name]) for f in dataclasses.fields(InitialModelSettings)]
