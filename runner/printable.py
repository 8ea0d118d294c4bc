"""Text from elsewhere, as other people's terminals may show it."""

from __future__ import annotations


def printable(text: str, kept: str = "") -> str:
    """The text with ``?`` for what a terminal obeys or what turns the direction of text, and every space a plain one.

    Args:
        text: from anybody's worker or server.
        kept: characters that stay, such as line ends.
    """
    return "".join(c if c.isprintable() or c in kept else " " if c.isspace() else "?" for c in text)
