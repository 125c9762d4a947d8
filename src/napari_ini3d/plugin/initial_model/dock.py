"""The dock *Initial model*: choose particles, start a run, watch it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ini3d.errors import Ini3dError, SettingsError
from napari_ini3d.io import is_particle_file
from napari_ini3d.plugin.compare import compare_runs
from napari_ini3d.plugin.initial_model.class_panel import ClassPanel
from napari_ini3d.plugin.initial_model.export_menu import ExportMenu
from napari_ini3d.plugin.initial_model.fields import label_of
from napari_ini3d.plugin.initial_model.first_steps import FirstSteps
from napari_ini3d.plugin.initial_model.form import SettingsForm
from napari_ini3d.plugin.initial_model.log_view import LogView
from napari_ini3d.plugin.initial_model.mask_button import MaskButton
from napari_ini3d.plugin.initial_model.menus import SettingsMenus
from napari_ini3d.plugin.initial_model.particle_summary import ParticleSummary
from napari_ini3d.plugin.initial_model.preferences import (
    next_folder,
    preferred_output,
    preferred_settings,
)
from napari_ini3d.plugin.initial_model.run_history import RunHistory
from napari_ini3d.plugin.initial_model.run_panel import RunPanel
from napari_ini3d.plugin.initial_model.run_verdict import RunVerdict
from napari_ini3d.plugin.initial_model.running_runs import RunningRuns
from napari_ini3d.plugin.initial_model.shortcuts import install_shortcuts
from napari_ini3d.plugin.initial_model.user_config import (
    FormState,
    forget_run,
    load_form_state,
    recorded_cluster,
    remember_run,
    remember_settings,
    remembered_cluster,
    remembered_settings,
)
from napari_ini3d.plugin.initial_model.validation import (
    OUTPUT,
    PARTICLES,
    field_of_failure,
    find_problems,
    is_resumable,
)
from napari_ini3d.plugin.session import CloseGuard, RunSession
from napari_ini3d.plugin.viewer import (
    FittingWidget,
    connect_to_viewer,
    get_metadata,
    main_window_of,
    make_scrollable,
    make_tabs,
    unwrap_proxy,
)
from napari_ini3d.runs import RunFolder, delete_run, is_locked

if TYPE_CHECKING:
    import napari

    from napari_ini3d.preflight import Preview

_VALIDATE_MS = 150


class InitialModelWidget(FittingWidget):
    """The dock *Initial model*: form, log and list of runs, with the buttons of the run below.

    Parameters
    ----------
    napari_viewer : napari viewer
        The viewer owns the run: a dock that is closed and opened again shows it.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        real: Any = unwrap_proxy(napari_viewer)
        self._viewer = ref(real)
        self.session = RunSession.of(napari_viewer)
        self.form = SettingsForm(remembered_settings(preferred_settings()))
        self.form.set_cluster(remembered_cluster())
        self.form.cluster.watch(self.session.log)
        self.first_steps = FirstSteps(self._viewer)
        self.summary = ParticleSummary()
        self.circle_button = MaskButton(self._viewer, self._mask_diameter)
        self.circle = self.circle_button.circle
        self.export = ExportMenu(self._viewer)
        self.menus = SettingsMenus(self.form, self.export)
        self.verdict = RunVerdict(self._viewer)
        self.running = RunningRuns()
        self.classes = ClassPanel(self.session.layers, self)
        self.panel = RunPanel(self.session)
        self.log = LogView(self.session.log)
        self.history = RunHistory()
        self._suggested = ""
        self._is_listed = False
        self._validation = QTimer(self)
        self._validation.setSingleShot(True)
        self._validation.setInterval(_VALIDATE_MS)
        self._lay_out()
        self._connect()
        self._restore()

    def showEvent(self, event: object) -> None:
        """Share a place with the other docks, guard the window, and look for runs to follow."""
        super().showEvent(event)
        CloseGuard.install(self, self._viewer, self.session)
        window = main_window_of(self)
        if window is not None:
            install_shortcuts(window, self.panel, self.session)
        if not self.session.busy:
            self.running.refresh(self.session.run_folder)

    # -- form -------------------------------------------------------------------------------

    def validate(self, *, strict: bool = False) -> dict[str, str]:
        """Check the form, show each problem beside its field, and return the problems.

        Parameters
        ----------
        strict : bool
            Report empty fields, too.
        """
        form = self.form
        problems = find_problems(
            form.particles.text, form.output.text, form.values, self.summary.report
        )
        if self.session.busy:
            problems.pop(OUTPUT, None)
        if not strict:
            empty = {PARTICLES: not form.particles.text, OUTPUT: not form.output.text}
            problems = {name: text for name, text in problems.items() if not empty.get(name)}
        form.mark(problems)
        return problems

    def _on_changed(self) -> None:
        """Check the form and update the estimates, once the user has stopped typing."""
        problems = self.validate()
        self._keep_form_state()
        self._find_resumable()
        if not problems.keys() - {PARTICLES, OUTPUT}:
            self.summary.estimate_again(self.form.settings())
        if self.circle.shown:
            self.circle.resize(self._mask_diameter())

    def _keep_form_state(self) -> None:
        """Save the form in the session, for a dock that is opened after this one is closed."""
        with suppress(SettingsError):
            self.session.form_state = self.form.state()

    def _on_particles(self, text: str) -> None:
        self._lead_if_empty()
        path = Path(text) if is_particle_file(Path(text)) else None
        try:
            settings = self.form.settings()
        except SettingsError:
            settings = preferred_settings()
        self.circle_button.choose(None)
        self.form.fields["mask_diameter"].show_automatic("auto")
        self.summary.choose(path, settings)
        if path is not None and path.parent.is_dir():
            self._suggest_output(preferred_output(path))

    def _suggest_output(self, folder: Path) -> None:
        """Suggest a free output folder, unless the user has chosen one."""
        if self.form.output.text in ("", self._suggested):
            self._suggested = str(folder)
            self.form.output.text = self._suggested

    def _on_checked(self, preview: Preview) -> None:
        diameter = preview.report.mask_diameter
        if diameter is not None:
            field = self.form.fields["mask_diameter"]
            field.show_automatic(f"auto: {diameter:.0f} Å")
        self.circle_button.choose(preview)
        self.validate()

    def _mask_diameter(self) -> float:
        chosen = self.form.fields["mask_diameter"].value
        report = self.summary.report
        estimated = None if report is None else report.mask_diameter
        return float(chosen or estimated or 100.0)

    def _on_dragged(self, diameter: float) -> None:
        self.form.fields["mask_diameter"].value = diameter

    # -- the run ----------------------------------------------------------------------------

    def _on_run(self) -> None:
        if self._validation.isActive():  # a later check would hide why a quick run has failed
            self._validation.stop()
            self._on_changed()
        problems = self.validate(strict=True)
        if problems:
            first = next(iter(problems))
            self.tabs.setCurrentIndex(0)
            self.form.focus(first)
            names = {PARTICLES: "Particles", OUTPUT: "Output folder"}
            lines = (f"{names.get(n) or label_of(n)}: {text}" for n, text in problems.items())
            show_error("The run was not started.\n" + "\n".join(lines))
            return
        state = self.form.state()
        output, cluster = Path(state.output), self.form.cluster
        self._start(lambda: self.session.start(Path(state.particles), output, state.settings,
                                               cluster.checked()), output)  # fmt: skip
        remember_settings(state.settings, state.cluster)

    def _on_resume(self, folder: Path | None = None) -> None:
        target = folder or self.panel.resumable
        if target is not None:
            cluster = self.form.cluster
            if not cluster.was_edited:
                self.form.set_cluster(recorded_cluster(target))
            self._start(lambda: self.session.resume(target, cluster.checked()), target)

    def _start(self, start: Any, folder: Path) -> None:
        try:
            start()
        except Ini3dError as error:
            show_error(str(error))
            return
        remember_run(folder.absolute())
        self.circle.hide()
        self.validate()

    def _on_state(self, state: str) -> None:
        """Show the symmetry of a run that has ended or was opened; during a run, list it."""
        folder = self.session.run_folder
        if state == "running" and folder is not None:
            remember_run(folder)
            self.running.hide()
            self._is_listed = False
        self.verdict.show_run(self.session.run_folder if state == "idle" else None)
        self._lead_if_empty()

    def _lead_if_empty(self) -> None:
        """Show the first steps while there are neither particles nor a run."""
        empty = not self.form.particles.text and self.session.run_folder is None
        self.first_steps.setVisible(empty)

    def _on_counted(self) -> None:
        """List a run as running when it has done its first iteration, not at each one."""
        if not self._is_listed and self.history.isVisible():
            self._is_listed = True
            self.history.refresh()

    def _on_finished(self, folder: Path) -> None:
        self._after_run()
        if RunFolder(folder).outcome() == "SUCCESS" and self.form.output.text:
            self._suggested = self.form.output.text
            self._suggest_output(next_folder(Path(self.form.output.text)))

    def _on_failed(self, error: BaseException) -> None:
        self._after_run()
        name = field_of_failure(error)
        if name is not None:
            self.form.mark({**self.validate(), name: str(error)})

    def _on_left(self, _folder: Path) -> None:
        self._after_run()
        self.running.refresh(None)

    def _after_run(self) -> None:
        self._find_resumable()
        self.history.refresh()
        self.validate()

    def _find_resumable(self) -> None:
        """Find the run for *Resume*: the one in the output folder, or else the last one."""
        typed = Path(self.form.output.text) if self.form.output.text else None
        candidates = [folder for folder in (typed, self.session.run_folder) if folder is not None]
        self.panel.resumable = next((f for f in candidates if is_resumable(f)), None)
        self.panel.refresh()

    # -- other runs --------------------------------------------------------------------------

    def apply(self, state: FormState) -> None:
        """Fill in the form."""
        self.form.set_settings(state.settings)
        self.form.set_cluster(state.cluster)
        if state.particles:
            self.form.set_particles(state.particles)
        if state.output:
            self.form.output.text = state.output
        self.tabs.setCurrentIndex(0)

    def _clone(self, folder: Path) -> None:
        def apply_settings() -> None:
            found = load_form_state(folder / "settings.json")
            self.apply(FormState(found.particles, "", found.settings, found.cluster))
            self._suggested = self.form.output.text
            self._suggest_output(preferred_output(Path(found.particles)))

        self._try(apply_settings)

    def _open_run(self, folder: Path) -> None:
        if self.session.busy:
            show_error("A run is in progress in this window. Stop it first, or open the folder of "
                       "the other run from napari's File menu.")  # fmt: skip
            return
        follows = is_locked(folder)
        self._try(lambda: (self.session.follow if follows else self.session.reopen)(folder))

    def _compare(self, folders: tuple[Path, Path]) -> None:
        viewer = self._viewer()
        if viewer is not None:
            self._try(lambda: compare_runs(viewer, *folders))

    def _delete(self, folder: Path) -> None:
        def delete() -> None:
            self.session.forget(folder)
            delete_run(RunFolder(folder))
            forget_run(folder)

        self._try(delete)
        self._after_run()

    def _try(self, action: Any) -> None:
        try:
            action()
        except Ini3dError as error:
            show_error(str(error))

    # -- construction -----------------------------------------------------------------------

    def _lay_out(self) -> None:
        slot = self.form.below_particles
        slot.addWidget(self.first_steps)
        slot.addWidget(self.summary)
        slot.addWidget(self.circle_button)
        settings_page = QWidget()
        page = QVBoxLayout(settings_page)
        page.setContentsMargins(0, 0, 0, 0)
        page.addWidget(self.form, 1)
        page.addWidget(self.menus)
        self.tabs = make_tabs()
        self.tabs.addTab(settings_page, "Settings")
        self.tabs.addTab(self.log, "Log")
        self.tabs.addTab(make_scrollable(self.history), "Runs")
        page = QWidget()
        QVBoxLayout(self).addWidget(make_scrollable(page))
        self.layout().setContentsMargins(0, 0, 0, 0)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.running)
        layout.addWidget(self.verdict)
        layout.addWidget(self.classes)
        layout.addWidget(self.panel)

    def _connect(self) -> None:
        self.form.particles_changed.connect(self._on_particles)
        self.first_steps.particles_chosen.connect(self.form.set_particles)
        self.form.changed.connect(self._validation.start)
        self.menus.loaded.connect(self.apply)
        self._validation.timeout.connect(self._on_changed)
        self.summary.checked.connect(self._on_checked)
        self.circle.dragged.connect(self._on_dragged)
        self.panel.run_clicked.connect(self._on_run)
        self.panel.resume_clicked.connect(self._on_resume)
        self.running.follow_clicked.connect(self._open_run)
        self.history.open_clicked.connect(self._open_run)
        self.history.clone_clicked.connect(self._clone)
        self.history.resume_clicked.connect(self._on_resume)
        self.history.compare_clicked.connect(self._compare)
        self.history.delete_confirmed.connect(self._delete)
        self.session.state_changed.connect(self._on_state)
        self.session.counted.connect(self._on_counted)
        self.session.finished.connect(self._on_finished)
        self.session.failed.connect(self._on_failed)
        self.session.left.connect(self._on_left)
        viewer = self._viewer()
        if viewer is not None:
            connect_to_viewer(self, viewer, {"layers.events.inserted": self._on_layer})

    def _restore(self) -> None:
        """Fill in the form as it was before, or with the particles that are open."""
        if self.session.form_state is not None:
            self.apply(self.session.form_state)
        viewer = self._viewer()
        for layer in [] if viewer is None else viewer.layers:
            self._use_particles(layer)
        self._find_resumable()
        self._on_state(self.session.state)

    def _on_layer(self, event: Any) -> None:
        self._use_particles(event.value)

    def _use_particles(self, layer: Any) -> None:
        path = str(get_metadata(layer, "path") or "")
        is_particles = get_metadata(layer, "kind") == "particles" and is_particle_file(Path(path))
        if is_particles and not self.form.particles.text:
            self.form.set_particles(path)
