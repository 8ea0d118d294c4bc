"""Files of the user's own that add to the catalog: what a space names under ``plugins``.

A file is imported under its stem, as ``custom_imports`` of a rendered config imports it, with its folder at the end
of ``sys.path``. What runs is what was hashed: no compiled copy is written or read.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runner.catalog import PARTS, remove
from runner.errors import UserError
from runner.protocol import Plugin

_REGISTRIES = ("mmengine.registry", "mmdet.registry")


class PluginChangedError(UserError):
    """The file on this machine is not the one that the study began with."""


@dataclass(frozen=True)
class _Loaded:
    plugin: Plugin
    names: tuple[tuple[str, str], ...]  # (part, name) of what it added


_loaded: dict[str, _Loaded] = {}  # by module name
_folders: list[str] = []  # that stand on sys.path because of us


def load(path: Path) -> Plugin:
    """Imports a file; one that is imported already only if it has changed since.

    Args:
        path: absolute, of a file whose stem can be a module's name.

    Raises:
        UserError: it cannot be read or imported, hides another module, or adds nothing; nothing of it is left then.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror}") from error
    plugin = Plugin(path=str(path), sha256=hashlib.sha256(source).hexdigest())
    known = _loaded.get(path.stem)
    if known and known.plugin == plugin:
        return plugin
    if known and known.plugin.path == plugin.path:
        unload(path.stem)
    _check_free(path)
    before = set(_entries())
    try:
        _run(path, source)
        if set(_entries()) == before:
            raise UserError(f"{path.name} adds nothing; write add(Backbone(...)) or the like in it, at the top level")
    except UserError:
        for entry in set(_entries()) - before:
            remove(*entry)
        _forget(path.stem)
        raise
    _loaded[path.stem] = _Loaded(plugin, tuple(entry for entry in _entries() if entry not in before))
    return plugin


def load_all(plugins: Iterable[Plugin]) -> list[str]:
    """Imports the files of a lease.

    Returns:
        The names of their modules, for ``custom_imports``.

    Raises:
        PluginChangedError: a file is missing here, or is not the one of the lease.
        UserError: as for `load`.
    """
    modules = []
    for plugin in plugins:
        path = Path(plugin.path)
        if not path.is_file():
            raise PluginChangedError(f"plugin {path}: there is no such file on this machine; put it there")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != plugin.sha256:
            raise PluginChangedError(
                f"plugin {path} changed since the study began: its hash is {found[:12]} now, "
                f"{plugin.sha256[:12]} then; put the old file back, or name another study with --set study=NAME"
            )
        load(path)
        modules.append(path.stem)
    return modules


def unload(module: str) -> None:
    """Takes a file's parts out of the catalog again, and its classes out of MMDetection's registries."""
    for part, name in _loaded.pop(module).names:
        remove(part, name)
    _forget(module)


def loaded() -> dict[str, tuple[tuple[str, str], ...]]:
    """Module -> (part, name) of all that it added."""
    return {module: known.names for module, known in _loaded.items()}


def _entries() -> list[tuple[str, str]]:
    """(part, name) of the whole catalog."""
    return [(part, name) for part, entries in PARTS.items() for name in entries]


def _check_free(path: Path) -> None:
    """Whether a module of this name may come.

    Raises:
        UserError: there is one already.
    """
    known = _loaded.get(path.stem)
    if known:
        raise UserError(f"a plugin of this name is imported from {known.plugin.path}; name the file differently")
    try:
        spec = importlib.util.find_spec(path.stem)
    except ValueError:  # __main__ and the like
        where: str | None = "Python"
    else:
        where = spec.origin if spec else None  # a folder without a file in it has no origin, and hides nothing
    if where is not None and Path(where) != path:
        raise UserError(f"{path.name} would hide the module {path.stem} ({where}); name the file differently")


def _run(path: Path, source: bytes) -> None:
    """Executes a file as the module of its stem.

    Raises:
        UserError: it raised; the text names file and line.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
        _folders.append(str(path.parent))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout carries the answer of a command
            exec(compile(source, path, "exec"), vars(module))
    except SyntaxError as error:
        raise UserError(f"{Path(error.filename or path).name}:{error.lineno or 1}: {error.msg}") from error
    except (Exception, SystemExit) as error:  # a file of the user's may raise anything
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        null = isinstance(error, ValueError) and "null bytes" in str(error)  # a SyntaxError from Python 3.11.4 on
        what = str(error) if isinstance(error, UserError) or null else f"{type(error).__name__}: {error}"
        first = (what.strip().splitlines() or [""])[0]
        raise UserError(f"{path.name}:{lines[-1] if lines else 1}: {first}") from error


def _forget(module: str) -> None:
    """Takes a module out of Python, and its classes out of MMDetection's registries where those are imported."""
    sys.modules.pop(module, None)
    needed = {str(Path(known.plugin.path).parent) for known in _loaded.values()}
    for folder in [folder for folder in _folders if folder not in needed]:
        _folders.remove(folder)
        if folder in sys.path:
            sys.path.remove(folder)
    holders = [sys.modules[name] for name in _REGISTRIES if name in sys.modules]
    tables = [getattr(registry, "module_dict", None) for holder in holders for registry in vars(holder).values()]
    for table in (table for table in tables if isinstance(table, dict)):
        for name in [name for name, made in table.items() if made.__module__ == module]:
            del table[name]
