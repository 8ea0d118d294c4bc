"""What stands under ``plugins``: files of the user's own, imported before the names in a space are looked up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from runner.errors import UserError
from runner.named import named
from runner.protocol import Plugin
from runner.userparts import load
from sweeps.space.problems import Report, near_file, shown


def plugin_files(raw: Any, base: Path, report: Report) -> tuple[Plugin, ...]:
    """Imports the files; their parts are in the catalog from then on.

    Args:
        raw: what the space says.
        base: the folder its paths are relative to.
        report: takes the mistakes.
    """
    if raw is None:
        return ()
    if not isinstance(raw, list):
        fix = f"write plugins: [{raw}]" if isinstance(raw, str) else "write plugins: [my_parts.py]"
        report.add("plugins", f"expected a list of Python files, found {shown(raw)}", fix)
        return ()
    found: dict[str, Plugin] = {}
    for number, item in enumerate(raw):
        key = f"plugins[{number}]"
        path = _file(item, key, base, report)
        if path is None:
            continue
        if path.stem in found:
            other = found[path.stem].path
            report.add(key, f"{item} has the name of {other}, which stands here already", "name the file differently")
            continue
        try:
            found[path.stem] = load(path)
        except UserError as error:
            message, _, fix = str(error).partition("; ")
            report.add(key, message, fix or None)
    return tuple(found.values())


def _file(raw: Any, key: str, base: Path, report: Report) -> Path | None:
    """The absolute path of a file that can be imported; links are not followed, its own name counts."""
    if not isinstance(raw, str):
        report.add(key, f"expected the path of a Python file, found {shown(raw)}")
        return None
    try:
        path = Path(os.path.abspath(named(base, raw)))  # noqa: PTH100  resolve() follows links
    except UserError as error:
        report.add(key, str(error))
        return None
    if path.is_dir():
        report.add(key, f"expected a Python file, found the folder {raw}")
    elif path.suffix != ".py":
        report.add(key, f"expected a Python file, found {raw}", f"write {Path(raw).with_suffix('.py')}")
    elif not path.is_file():
        message = f"expected a Python file, found {raw}, and there is no such file in {path.parent}"
        report.add(key, message, near_file(path))
    elif not path.stem.isidentifier():
        message = f"expected letters, digits and '_' in the name of a Python file, found {path.name}"
        report.add(key, message, "name the file differently")
    else:
        return path
    return None
