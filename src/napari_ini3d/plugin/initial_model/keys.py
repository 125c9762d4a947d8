"""Keys of the keyboard shortcuts, as Qt writes them; `shortcuts` installs them."""

RUN, PAUSE, STOP = "F5", "F6", "F7"
PREVIOUS, NEXT = "Alt+Left", "Alt+Right"
RESET_VIEW = "F8"
