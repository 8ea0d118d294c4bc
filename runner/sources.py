"""How people name weights: a word of the catalog, an address, a hub id, else a path. Imports nothing heavy."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

CATALOGED = ("none", "imagenet", "coco")  # what the catalog knows; all else names weights itself
SINGLE = ("model.safetensors", "pytorch_model.bin")  # of a folder with a Hugging Face model, whole or in shards
INDEXES = tuple(f"{name}.index.json" for name in SINGLE)
MODEL_FILES = (*SINGLE, *INDEXES)
ZOO_SCHEMES = ("torchvision://", "open-mmlab://", "openmmlab://")  # MMEngine's spellings, in tables of its own
_URL = ("http://", "https://")
_FILES = (".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".tar", ".pkl", ".pyth", ".npz", ".onnx")
_HUB = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?", re.ASCII)
_CHECKSUM = re.compile(r"sha256=[0-9a-fA-F]{8,64}")


def is_url(source: str) -> bool:
    """Whether `source` is an http or https address."""
    return source.lower().startswith(_URL)


def is_file_name(source: str) -> bool:
    """Whether `source` ends as a file of weights does."""
    return source.lower().endswith(_FILES)


def is_hub_id(source: str) -> bool:
    """Whether `source` is spelled as the id of a model on a hub, ``org/name`` or ``org/name@revision``."""
    return bool(_HUB.fullmatch(source)) and not is_file_name(source)


def url_problem(source: str) -> str | None:
    """What is wrong with an address ("#sha256=HEX after the address"), as what was expected; None where nothing is."""
    try:
        parts = urlsplit(source)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or any(character.isspace() for character in source):
        return "an address such as https://HOST/NAME.pth"
    if not parts.path.rpartition("/")[2]:
        return "the address of a file"
    if parts.fragment and not _CHECKSUM.fullmatch(parts.fragment):
        return "#sha256=HEX (8 to 64 digits) or nothing after the address"
    return None
