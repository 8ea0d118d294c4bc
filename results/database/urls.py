"""Databases' URLs, without what nobody but the database is to know."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(://[^:/@]*):[^@]*@")


def named(url: str) -> str:
    """The URL for people: that there is a password, not which."""
    return _PASSWORD.sub(r"\1:***@", url)


def without_password(url: str) -> str:
    """The same, wherever its password is kept."""
    return _PASSWORD.sub(r"\1@", url)
