"""Bytes that starfile would misread, each as one character that it takes as it stands."""

from __future__ import annotations

from collections.abc import Container

_FIRST = 0xE000  # of Unicode's private characters; no text has any, as it is escaped byte by byte
_EMPTY = _FIRST + 256
_TO_BYTES: dict[int, int | None] = {_FIRST + byte: byte for byte in range(256)} | {_EMPTY: None}


def escape(value: bytes, plain: Container[int]) -> str:
    """Return bytes as text: those in `plain` as ASCII, each other as one private character.

    An empty value is one, too, so that it is not taken for a missing number.
    """
    if not value:
        return chr(_EMPTY)
    return "".join(chr(byte if byte in plain else _FIRST + byte) for byte in value)


def unescape(text: str) -> bytes:
    """Return the bytes from which `escape` has made a text, or a text of several of them."""
    if text.isascii():
        return text.encode()
    return text.translate(_TO_BYTES).encode("latin-1")
