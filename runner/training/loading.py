"""What of a file really went into a model.

MMEngine loads whatever happens to fit and writes the rest into a warning. Here every tensor is blanked before a file
is read and looked at afterwards, so that what a file did not give is known, whatever loader and naming was at work.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runner.training.tensors import read
from runner.training.weights import OTHER_WEIGHTS, SCHEMES, WeightsError, fetch, fingerprint

log = logging.getLogger("sweep.weights")
_FITTING = f"write weights of this very architecture, or {OTHER_WEIGHTS}"
_NAMES_TOLD = 5


@dataclass
class Watch:
    """Follows what the files that are read meanwhile give to a module.

    Attributes:
        module: what is filled.
        given: the tensors of the last file that was read, by its own names; None where none was.
        path: that file.
        left: names of the module's tensors that no file gave; they have their first values again.
    """

    module: nn.Module
    given: Mapping[str, Tensor] | None = None
    path: Path | None = None
    left: list[str] = field(default_factory=list)
    _first: dict[str, Tensor] = field(default_factory=dict)

    def blank(self, given: Mapping[str, Tensor], path: Path) -> None:
        """Remembers the module's tensors and makes them not-a-number; whole numbers (counters, indices) stay."""
        self.given, self.path = given, path
        tensors = self._tensors()
        if not self._first:  # all of them before any is blank: one tensor may have several names
            self._first = {name: tensor.clone() for name, tensor in tensors.items()}
        for tensor in tensors.values():
            tensor.fill_(torch.nan)

    def settle(self) -> None:
        """Finds what is still blank and puts the first values back there."""
        tensors = self._tensors() if self._first else {}
        self.left = [name for name, tensor in tensors.items() if bool(tensor.isnan().any())]
        for name in self.left:
            tensors[name].copy_(self._first[name])
        self._first.clear()

    def total(self) -> int:
        """How many tensors the module has."""
        return len(self._tensors())

    def why(self, name: str) -> str:
        """What stands in the file for a tensor of the module, beside what was needed."""
        needed = tuple(self._tensors()[name].shape)
        found = [t for key, t in (self.given or {}).items() if key == name or key.endswith(f".{name}")]
        there = f"{tuple(found[0].shape)} in the file" if found else "none of that name in the file"
        if found and tuple(found[0].shape) == needed and bool(found[0].isnan().any()):
            there = "not a number in the file"
        return f"{name}: {needed} in the model, {there}"

    def _tensors(self) -> dict[str, Tensor]:
        return {name: t for name, t in self.module.state_dict().items() if t.is_floating_point()}


_watches: list[Watch] = []


def load_from_cache(filename: str, map_location: Any = None) -> dict[str, Any]:
    """MMEngine's loader of checkpoints, for every address it is given: through our cache, running nothing.

    Raises:
        WeightsError, OSError: as `runner.training.weights.fetch` and `runner.training.tensors.read`.
    """
    path = fetch(str(filename))
    checkpoint = read(path, map_location or "cpu")
    with torch.no_grad():
        for watch in _watches:
            watch.blank(checkpoint["state_dict"], path)
    return checkpoint


@contextlib.contextmanager
def watching(module: nn.Module, source: str) -> Iterator[Watch]:
    """While it lasts, what files give to `module` is followed; settled at its end.

    Raises:
        WeightsError: loading `source` failed halfway, or nothing was loaded at all.
    """
    watch = Watch(module)
    _watches.append(watch)
    try:
        yield watch
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError, KeyError, IndexError) as error:
        # torch tells sizes that differ by an error, MMDetection names that are missing by another
        lines = [line.strip() for line in str(error).splitlines()]
        sizes = next((line for line in lines if line.startswith("size mismatch")), None)
        reason = sizes or next(filter(None, lines), type(error).__name__)
        raise WeightsError(f"{source} does not fit: {reason.rstrip('.')}; {_FITTING}") from error
    finally:
        _watches.remove(watch)
        with torch.no_grad():
            watch.settle()
    if watch.given is None:
        raise WeightsError(f"{source}: {type(module).__name__} loads no weights; {OTHER_WEIGHTS}")


def backbone_line(watch: Watch, source: str, fresh: Sequence[str]) -> str:
    """What a backbone got, in a few words; the log has it all.

    Args:
        watch: settled.
        source: where the weights came from.
        fresh: regular expressions of names that these weights never have.

    Raises:
        WeightsError: a tensor that is not `fresh` was not in the file.
    """
    missing = [name for name in watch.left if not any(re.search(pattern, name) for pattern in fresh)]
    total, found = watch.total(), watch.total() - len(watch.left)
    if missing:
        raise WeightsError(_half("backbone", watch, source, found, total, missing[0]))
    _tell_unused(watch, source)
    line = f"{found} of {total} tensors of the backbone"
    return line + (f" ({len(watch.left)} new: {_some(watch.left)})" if watch.left else "") + _from(watch)


def detector_line(watch: Watch, source: str) -> str:
    """What a detector got; heads may differ (another number of classes), backbone and neck may not.

    Raises:
        WeightsError: a tensor of the backbone or the neck was not in the file.
    """
    state = watch.module.state_dict()
    for part in ("backbone", "neck"):
        left = [name for name in watch.left if name.startswith(f"{part}.")]
        if left:
            total = sum(name.startswith(f"{part}.") and t.is_floating_point() for name, t in state.items())
            raise WeightsError(_half(part, watch, source, total - len(left), total, left[0]))
    for name in watch.left:
        log.info("starts at random, %s", watch.why(name))
    _tell_unused(watch, source)
    total = watch.total()
    line = f"{total - len(watch.left)} of {total} tensors of the model"
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in watch.left))
    return line + (f" (at random: {_some(modules)})" if modules else "") + _from(watch)


def _half(part: str, watch: Watch, source: str, found: int, total: int, first: str) -> str:
    return f"{source} gives {found} of the {total} tensors of the {part}; first without: {watch.why(first)}; {_FITTING}"


def _tell_unused(watch: Watch, source: str) -> None:
    """Names in the file that the module does not have, where both use the same names."""
    state, given = watch.module.state_dict(), [name.removeprefix("module.") for name in watch.given or {}]
    inner = [name.removeprefix("backbone.") if name not in state else name for name in given]
    unused = [name for name, own in zip(given, inner, strict=True) if own not in state]
    if len(unused) < len(given):
        log.info("in %s and not used: %s", source, ", ".join(unused) or "nothing")


def _from(watch: Watch) -> str:
    return f", {fingerprint(watch.path)}" if watch.path else ""


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_TOLD
    return ", ".join(names[:_NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")


def register() -> None:
    """Puts ours in the place of MMEngine's own loaders, whose downloads run code that a file brings along."""
    from mmengine.runner import CheckpointLoader

    CheckpointLoader.register_scheme(["", *SCHEMES], load_from_cache, force=True)
