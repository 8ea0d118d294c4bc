"""Text that people and machines sent, as a table or a terminal can hold it."""

from __future__ import annotations

import re
import unicodedata


def clean(text: str) -> str:
    """One printable line: Hangul composed so that it aligns, control characters and line ends as spaces."""
    composed = unicodedata.normalize("NFC", text)
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in composed)).strip()


def clean_lines(text: str) -> str:
    """The same line by line."""
    return "\n".join(clean(line) for line in text.splitlines())
