"""Files are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.paths import replace_with


def test_a_file_is_replaced_whole_and_a_team_may_read_it(tmp_path: Path) -> None:
    target = tmp_path / "new" / "config.py"
    old = os.umask(0o077)
    try:
        replace_with(target, "größer\n")
        assert target.read_text(encoding="utf-8") == "größer\n"
        replace_with(target, b"\x00")
    finally:
        os.umask(old)
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"\x00", 0o644)
    assert list(target.parent.iterdir()) == [target]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "config.py").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_with(tmp_path / "config.py", "model = {}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["config.py"]
