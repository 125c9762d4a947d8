"""Form of a run: particles, output folder and all settings, grouped as in RELION's tabs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from qtpy.QtCore import QSize, Signal
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_ini3d._setting import Group
from napari_ini3d.io import PARTICLE_ENDINGS
from napari_ini3d.plugin.initial_model.cluster_field import ClusterField
from napari_ini3d.plugin.initial_model.fields import (
    ProblemLabel,
    WheelGuard,
    all_fields,
    make_path_control,
    mark_widget,
)
from napari_ini3d.plugin.initial_model.user_config import FormState
from napari_ini3d.plugin.initial_model.validation import OUTPUT, PARTICLES
from napari_ini3d.plugin.viewer import set_tooltip
from napari_ini3d.settings import InitialModelSettings

FOLDED: tuple[Group, ...] = ("Sampling", "Compute")

_HEADING = (
    "QPushButton { font-weight: bold; text-align: left; border: none; padding: 3px;"
    " background: transparent; }"
)
_PATTERNS = f"Particles ({' '.join(f'*{ending}' for ending in PARTICLE_ENDINGS)})"
_HELP = {
    PARTICLES: "STAR file (RELION 3.0 to 5) or .cs file (cryoSPARC) of the particles selected by "
    "2D classification. Passthrough files of cryoSPARC are found if they are in the same folder.",
    OUTPUT: "Output folder of the run; it is created. The file names are those of RELION.",
}


class Section(QWidget):
    """A group of controls that can be collapsed, by mouse or keyboard."""

    def __init__(self, title: str, *, folded: bool) -> None:
        super().__init__()
        self._title = title
        self.button = QPushButton()
        self.button.setCheckable(True)
        self.button.setFlat(True)
        self.button.setStyleSheet(_HEADING)
        set_tooltip(self.button, f"Show or hide the settings of the group {title}.")
        self.content = QWidget()
        self.form = QFormLayout(self.content)
        self.form.setContentsMargins(12, 0, 0, 6)
        self.form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.button)
        layout.addWidget(self.content)
        self.button.toggled.connect(self._on_toggled)
        self.button.setChecked(not folded)
        self._on_toggled(not folded)

    def add_row(self, label: QWidget, editor: QWidget, problem: QWidget) -> None:
        """Add a row with a label and a control."""
        self.form.addRow(label, editor)
        self.add_wide(problem)

    def add_wide(self, *widgets: QWidget) -> None:
        """Add widgets of the full width, one per row."""
        for widget in widgets:
            self.form.addRow(widget)

    def _on_toggled(self, shown: bool) -> None:
        self.button.setText(f"{'▾' if shown else '▸'}  {self._title}")
        self.content.setVisible(shown)


class PathField:
    """Text field of a file or folder, with its label and the problem shown below it."""

    def __init__(self, name: str, label: str, mode: str, pattern: str | None = None) -> None:
        self.control = make_path_control(mode, pattern)
        self.label, self.problem = QLabel(label), ProblemLabel()
        self.label.setBuddy(self.line)
        self.line.setAccessibleName(label)
        for widget in (self.label, self.line):
            widget.setToolTip(f"<p>{_HELP[name]}</p>")

    @property
    def line(self) -> Any:
        """The Qt text field."""
        return self.control.line_edit.native

    @property
    def text(self) -> str:
        """The path as typed, without spaces around it."""
        text: str = self.line.text()
        return text.strip()

    @text.setter
    def text(self, text: str) -> None:
        self.line.setText(text)

    def mark(self, problem: str) -> None:
        """Show a problem below the path; an empty text removes it."""
        self.problem.show_problem(problem)
        mark_widget(self.line, bool(problem))


class SettingsForm(QScrollArea):
    """Form with the particles, the output folder and the settings of a run.

    Signals
    -------
    particles_changed : str
        The path of the particles has changed.
    changed
        Anything has changed, including the particles.

    Attributes
    ----------
    below_particles : QVBoxLayout
        Place for the summary of the particles.
    """

    particles_changed = Signal(str)
    changed = Signal()

    def __init__(self, defaults: InitialModelSettings) -> None:
        super().__init__()
        self.particles = PathField(PARTICLES, "Particles", "r", _PATTERNS)
        self.output = PathField(OUTPUT, "Output folder", "d")
        self.fields = {field.name: field for field in all_fields()}
        self.cluster = ClusterField(
            lambda: self.particles.text, lambda: int(self.fields["threads"].value)
        )
        self.sections: dict[str, Section] = {}
        self._guard = WheelGuard(self)
        self.body = QVBoxLayout()
        self.below_particles = QVBoxLayout()
        self._lay_out()
        self.set_settings(defaults)
        self._connect()

    @property
    def values(self) -> dict[str, Any]:
        """Values of the settings by name, not checked."""
        return {name: field.value for name, field in self.fields.items()}

    def settings(self) -> InitialModelSettings:
        """Return the settings.

        Raises
        ------
        SettingsError
            If a value is out of range, or values contradict each other.
        """
        return InitialModelSettings(**self.values)

    def state(self) -> FormState:
        """Return the content of the form."""
        return FormState(self.particles.text, self.output.text, self.settings(), self.cluster.text)

    def set_settings(self, settings: InitialModelSettings) -> None:
        """Fill in the settings."""
        for name, field in self.fields.items():
            if field.value != getattr(settings, name):
                field.value = getattr(settings, name)

    def set_cluster(self, text: str) -> None:
        """Fill in the cluster, and show the group that has one."""
        self.cluster.line.setText(text)
        if text:
            self.sections["Compute"].button.setChecked(True)

    def set_particles(self, path: Path | str) -> None:
        """Fill in the particles."""
        self.particles.text = str(path)

    def mark(self, problems: dict[str, str]) -> None:
        """Show each problem beside its field, and expand the groups that have one."""
        self.particles.mark(problems.get(PARTICLES, ""))
        self.output.mark(problems.get(OUTPUT, ""))
        for name, field in self.fields.items():
            field.mark(problems.get(name, ""))
            if name in problems:
                self.sections[field.info.group].button.setChecked(True)

    def focus(self, name: str) -> None:
        """Give a field the focus, and scroll to it."""
        paths = {PARTICLES: self.particles, OUTPUT: self.output}
        field = paths.get(name) or self.fields[name]
        editor = field.line if isinstance(field, PathField) else field.editor
        editor.setFocus()
        self.ensureWidgetVisible(field.problem)
        self.ensureWidgetVisible(editor)

    def sizeHint(self) -> QSize:
        """Return the width of the controls and a height that fits small screens."""
        return QSize(self.widget().minimumSizeHint().width() + 24, 300)

    def _lay_out(self) -> None:
        content = QWidget()
        content.setLayout(self.body)
        self.body.setContentsMargins(4, 4, 4, 4)
        for group in get_args(Group):
            self.sections[group] = Section(group, folded=group in FOLDED)
            self.body.addWidget(self.sections[group])
        files = self.sections["I/O"]
        for path in (self.particles, self.output):
            files.add_wide(path.label, path.control.native, path.problem)
            if path is self.particles:
                files.form.addRow(self.below_particles)
        for field in self.fields.values():
            section = self.sections[field.info.group]
            if field.has_own_label:
                section.add_wide(field.editor, field.problem)
            else:
                section.add_row(field.label, field.editor, field.problem)
        self.sections["Compute"].add_wide(self.cluster)
        self.body.addStretch(1)
        self._guard.watch(content)
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)

    def _connect(self) -> None:
        self.particles.line.textChanged.connect(self._on_particles)
        self.output.line.textChanged.connect(lambda _: self.changed.emit())
        for field in self.fields.values():
            field.changed.connect(self.changed.emit)
        self.cluster.line.textChanged.connect(lambda _: self.changed.emit())

    def _on_particles(self, _: str) -> None:
        self.particles_changed.emit(self.particles.text)
        self.changed.emit()
