"""The question what becomes of a run when its window closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from weakref import ReferenceType

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QMainWindow, QMessageBox, QWidget

from napari_ini3d.plugin.session.session import RunSession
from napari_ini3d.plugin.session.status import is_done
from napari_ini3d.plugin.viewer import main_window_of

if TYPE_CHECKING:
    import napari

Choice = Literal["stop", "keep", "stay"]

_EXPLANATION = (
    "Stop: the run finishes its current iteration and writes its maps. It can be resumed at any "
    "later time.\n\n"
    "Keep running: it goes on without the window. To see it again, choose it in the list Runs, or "
    "drop its folder into a window."
)


class CloseGuard(QObject):
    """Asks before a window closes whose run is going on.

    A run that the window only follows goes on anyway. A window that a program closes, by
    `viewer.close`, stops its run without a question.

    Parameters
    ----------
    window : QMainWindow
        Of the viewer.
    viewer : weak reference to a napari viewer
    session : RunSession
        Of the viewer.
    """

    def __init__(
        self, window: QMainWindow, viewer: ReferenceType[napari.Viewer], session: RunSession
    ) -> None:
        super().__init__(window)
        self._window = window
        self._viewer = viewer
        self._session = session
        self._answered = False
        window.installEventFilter(self)

    @classmethod
    def install(
        cls, widget: QWidget, viewer: ReferenceType[napari.Viewer], session: RunSession
    ) -> None:
        """Guard the window of a widget, unless it is guarded already."""
        window = main_window_of(widget)
        if window is not None and not window.findChildren(cls):
            cls(window, viewer, session)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ask when the window is about to close; True if it stays."""
        if event.type() != QEvent.Type.Close or watched is not self._window:
            return False
        if self._answered or not self._session.is_own_run or self._is_closed_by_program():
            return False
        choice = ask_before_closing(self._window, describe_own_run(self._session))
        if choice == "stay":
            event.ignore()
            return True
        if choice == "keep":
            self._session.keep_when_closed()
        if not event.spontaneous():
            return False
        self._answered = True  # napari would ask again when the window system closes the window
        event.ignore()
        QTimer.singleShot(0, self._close)
        return True

    def _is_closed_by_program(self) -> bool:
        """Tell whether napari has taken its view apart already, as `viewer.close` does."""
        centre = self._window.centralWidget()
        if centre is None:
            return True
        only_direct = Qt.FindChildOption.FindDirectChildrenOnly
        parts = centre.findChildren(QWidget, options=only_direct)
        return bool(parts) and all(part.isHidden() for part in parts)

    def _close(self) -> None:
        viewer = self._viewer()
        if viewer is not None:
            viewer.close()


def describe_own_run(session: RunSession) -> str:
    """Return which run is going on, in a sentence."""
    name = "" if session.run_folder is None else session.run_folder.name
    where = "it checks the particles"
    if session.summaries:
        last = session.summaries[-1]
        where = f"iteration {last.iteration} of at most {last.n_iterations} is done"
        if is_done(last):
            where = "its last iteration is done, and its result is being validated and written"
    text = f"A run is going on in this window: {name}, {where}."
    if session.state == "paused":
        text += " It is paused, and stays so until it is continued."
    if session.state == "stopping":
        text += " It stops after its current iteration."
    return text


def ask_before_closing(window: QWidget, text: str) -> Choice:
    """Ask what becomes of the run, and return the answer.

    Parameters
    ----------
    window : QWidget
    text : str
        Which run it is.
    """
    box = QMessageBox(window)
    box.setWindowTitle("Close window")
    box.setIcon(QMessageBox.Icon.Question)
    box.setText(text)
    box.setInformativeText(_EXPLANATION)
    stop = box.addButton("Stop", QMessageBox.ButtonRole.DestructiveRole)
    keep = box.addButton("Keep running", QMessageBox.ButtonRole.AcceptRole)
    stay = box.addButton("Stay", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(stay)
    box.exec()
    answers: dict[object, Choice] = {stop: "stop", keep: "keep"}
    return answers.get(box.clickedButton(), "stay")
