"""Pretrained weights on this machine: fetched once, checked at every use, never half a file. Free of torch."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import re
import time
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import filelock
import httpx
import platformdirs
import tenacity

from runner.errors import UserError
from runner.paths import replace_with
from runner.sources import is_hub_id, is_url, url_problem

log = logging.getLogger("sweep.weights")
OTHER_WEIGHTS = "train without (--set fixed.pretrained=none) or from a file (--set fixed.pretrained=PATH)"
# MMEngine's spellings -> its own tables of addresses (mmengine/hub), read without torchvision
_TABLES = {
    "torchvision://": "torchvision_0.12.json",
    "modelzoo://": "torchvision_0.12.json",
    "open-mmlab://": "openmmlab.json",
    "openmmlab://": "openmmlab.json",
}
SCHEMES = ("http://", "https://", *_TABLES)
_NAMED = re.compile(r"-([0-9a-f]{8,64})\.\w+$")  # name-<first digits of its sha256>.pth, as torch.hub reads it
_DATE = re.compile(r"20[0-3]\d[01]\d[0-3]\d")  # eight digits that are a date
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_ATTEMPTS = 3
_CHUNK = 1 << 20
_TELL_SECONDS = 5.0


class WeightsError(UserError):
    """Weights that cannot be had, or do not fit; says which, why, and what to write instead."""


class _AgainError(Exception):
    """What may go better the next time."""


def cache() -> Path:
    """The folder of downloads: SWEEP_WEIGHTS, else ``sweep/weights`` in the user's cache folder."""
    named = os.environ.get("SWEEP_WEIGHTS")
    return Path(named).expanduser() if named else platformdirs.user_cache_path("sweep") / "weights"


def fetch(source: str) -> Path:
    """The file, or the folder of a hub's model, that holds the weights `source` names.

    Args:
        source: a path; a URL, with ``#sha256=HEX`` if one knows it; a zoo's spelling (``torchvision://resnet50``,
            ``open-mmlab://resnext101_32x4d``); or a hub id (``org/name``, ``org/name@revision``).

    Raises:
        WeightsError: it is not there, cannot be fetched, or its checksum is another.
        OSError: the cache folder is full or cannot be written.
    """
    if any(source.startswith(scheme) for scheme in _TABLES):
        source = zoo_url(source)
    if is_url(source):
        return _from_url(source)
    path = Path(source).expanduser()
    if path.exists():
        return path
    if is_hub_id(source):
        return _from_hub(source)
    raise WeightsError(f"there is no file {path} on this machine; {OTHER_WEIGHTS}")


def zoo_url(source: str) -> str:
    """The address behind a zoo's spelling.

    Raises:
        WeightsError: the zoo has no such name.
    """
    scheme, name = source.split("://", 1)
    table = _table(_TABLES[f"{scheme}://"])
    name = _table("deprecated.json").get(name, name)
    if name not in table:
        raise WeightsError(f"{source}: MMEngine's table has no {name}; write the address of a file, or {OTHER_WEIGHTS}")
    return table[name]


def fingerprint(path: Path) -> str:
    """What tells this file from another of its name: ``sha256 ab12cd34``, or the revision of a hub's model."""
    if path.is_dir():
        return f"revision {path.name[:8]}" if path.parent.name == "snapshots" else f"folder {path.name}"
    return f"sha256 {_sha256(path)[:8]}"


def _table(name: str) -> dict[str, str]:
    spec = importlib.util.find_spec("mmengine")
    assert spec is not None and spec.submodule_search_locations
    text = (Path(spec.submodule_search_locations[0]) / "hub" / name).read_text(encoding="utf-8")
    table: dict[str, str] = json.loads(text)
    return table


def _from_url(source: str) -> Path:
    """A download, or the one of an earlier time; trainers that want one file at once fetch it once."""
    if problem := url_problem(source):
        raise WeightsError(f"{source}: expected {problem}; {OTHER_WEIGHTS}")
    url, _, fragment = source.partition("#")
    name = PurePosixPath(urlsplit(url).path).name
    wanted = _wanted(name, fragment)
    target = cache() / hashlib.sha256(url.encode()).hexdigest()[:12] / name
    note = target.with_name(f"{name}.sha256")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(target.with_name(f"{name}.lock")):
            if target.exists():
                if (found := _sha256(target)).startswith(wanted) and _text(note) == found:
                    return target
                log.warning("%s is not what was fetched, it is removed and fetched again", target)
                target.unlink()
            temporary = target.with_name(f".{name}.tmp")
            try:
                _download(url, temporary)
                found = _sha256(temporary)
                if not found.startswith(wanted):
                    raise WeightsError(
                        f"{url}: expected sha256 {wanted}, found {found}; what came was removed: fetch it again, or "
                        f"write {url}#sha256={found} if that is the right file"
                    )
                replace_with(note, found)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
            log.info("%s fetched into %s, sha256 %s", url, target, found)
            return target
    except OSError as error:
        # without a name the fault would be put down to the trial's folder
        raise OSError(error.errno, error.strerror or str(error), str(target.parent)) from error


def _wanted(name: str, fragment: str) -> str:
    """The first digits of the checksum that a source asks for, by itself or by its file's name; "" for none."""
    if fragment:
        return fragment.removeprefix("sha256=").lower()
    match = _NAMED.search(name)
    return match[1] if match and not _DATE.fullmatch(match[1]) else ""


def _download(url: str, target: Path) -> None:
    """Writes what `url` gives; repeated where the fault may pass."""
    try:
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((httpx.TransportError, _AgainError)),
            wait=tenacity.wait_exponential(multiplier=0.5, max=4),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            before_sleep=lambda state: log.warning("%s: attempt %d failed, once more", url, state.attempt_number),
            reraise=True,
        ):  # fmt: skip
            with attempt:
                _stream(url, target)
    except (httpx.HTTPError, httpx.InvalidURL, _AgainError) as error:
        raise WeightsError(f"{url} can't be fetched: {_line(error)}; {OTHER_WEIGHTS}") from error


def _stream(url: str, target: Path) -> None:
    with (
        httpx.stream("GET", url, follow_redirects=True, timeout=_TIMEOUT) as response,
        target.open("wb") as file,
    ):
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
            raise _AgainError(f"the answer is {response.status_code} {response.reason_phrase}")
        if not response.is_success:
            reason = f"the answer is {response.status_code} {response.reason_phrase}"
            raise WeightsError(f"{url} can't be fetched: {reason}; {OTHER_WEIGHTS}")
        size = int(response.headers.get("Content-Length", 0))
        told, done = time.monotonic(), 0
        for chunk in response.iter_bytes(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                log.info("%s: %d of %s MB", url, done / 1e6, f"{size / 1e6:.0f}" if size else "?")
        file.flush()
        os.fsync(file.fileno())


def _from_hub(source: str) -> Path:
    """The folder of a hub's model in the hub's own cache (HF_HOME), where people put models by hand as well."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    name, _, revision = source.partition("@")
    config = "config.json"
    for weights in (("model*.safetensors", "model.safetensors.index.json"), ("pytorch_model*.bin*",)):
        try:
            found = snapshot_download(
                name, revision=revision or None, allow_patterns=[config, *weights], etag_timeout=_TIMEOUT.connect or 5.0
            )
        except LocalEntryNotFoundError as error:
            raise _not_from_hub(source, error.__cause__ or error) from error
        except (HfHubHTTPError, HFValidationError, httpx.HTTPError, ValueError) as error:
            raise _not_from_hub(source, error) from error
        folder = Path(found)
        if any(folder.glob("*.safetensors")) or any(folder.glob("*.bin")):
            return folder
    raise WeightsError(f"{source} holds no model.safetensors and no pytorch_model.bin; {OTHER_WEIGHTS}")


def _not_from_hub(source: str, error: BaseException) -> WeightsError:
    return WeightsError(f"{source} can't be fetched from the hub: {_line(error)}; {OTHER_WEIGHTS}")


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
