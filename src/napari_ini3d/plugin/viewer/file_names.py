"""Names of files that a user has typed."""

from __future__ import annotations

from pathlib import Path


def with_ending(name: str, ending: str, *, keep_others: bool = False) -> Path:
    """Return the path of a name; one that does not end with `ending` gets it.

    Parameters
    ----------
    name : str
    ending : str
        Such as ``.png``.
    keep_others : bool
        A name with another ending stays as it is, for its check to say what is wrong.
    """
    path = Path(name)
    done = path.suffix == ending or (keep_others and bool(path.suffix))
    return path if done else path.with_name(path.name + ending)
