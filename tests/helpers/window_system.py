"""Actions of the window system (X11) on a window."""

import ctypes
import ctypes.util

import pytest

_CLIENT_MESSAGE = 33


class _ClientMessage(ctypes.Structure):
    """The event of Xlib, as long as the union of all its events."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("rest", ctypes.c_long * 24),
    )


def ask_to_close(window):
    """Ask a window to close, as the button in its frame does; the test is skipped without X11."""
    name = ctypes.util.find_library("X11")
    if name is None:
        pytest.skip("there is no libX11")
    x11 = ctypes.CDLL(name)
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    x11.XSendEvent.argtypes = [
        ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p,
    ]  # fmt: skip
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = x11.XOpenDisplay(None)
    if not display:
        pytest.skip("the display is not of X11")
    event = _ClientMessage(type=_CLIENT_MESSAGE, window=int(window.winId()), format=32)
    event.message_type = x11.XInternAtom(display, b"WM_PROTOCOLS", 0)
    event.data[0] = x11.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
    x11.XSendEvent(display, event.window, 0, 0, ctypes.byref(event))
    x11.XCloseDisplay(display)  # sends what is waiting
