"""Pictures and label files on disk, whose names may be in any script."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.paths import replace_with

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 turn the picture by 90 degrees when it is decoded


class BrokenPictureError(Exception):
    """A file that is no picture, or only part of one."""


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document as UTF-8, whole or not at all."""
    replace_with(path, json.dumps(document, ensure_ascii=False, separators=(",", ":")))


def unreadable(error: OSError) -> tuple[str, str | None]:
    """What to say of a file or folder that cannot be read, and what to do about it where that is known."""
    return f"cannot be read: {(error.strerror or str(error)).lower()}", allowing(error)


def allowing(error: OSError) -> str | None:
    """What to do where nobody may read a file or folder; None where something else is wrong."""
    return "allow reading it (chmod a+rX)" if isinstance(error, PermissionError) else None


def list_pictures(folder: Path) -> list[Path]:
    """All pictures directly in a folder, by name.

    Raises:
        OSError: the folder cannot be read.
    """
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    for path in found[:1]:
        path.lstat()  # who may list a folder may still not open what is in it
    return found


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels as the picture will be decoded; reads only its header.

    Raises:
        BrokenPictureError: no known picture, or a PNG whose end is missing.
        PermissionError: it may not be read.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            width, height = image.size
            # only JPEG and TIFF carry an orientation in the header; a PNG may hold it behind the pixels
            turned = image.format in {"JPEG", "TIFF"} and image.getexif().get(_ORIENTATION, 1) >= 5
    except UnidentifiedImageError as error:
        raise BrokenPictureError("is no picture that can be read") from error
    except PermissionError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        raise BrokenPictureError(f"cannot be read ({error})") from error
    if _is_cut_png(path):
        raise BrokenPictureError("is cut off: the end of the PNG is missing")
    return (height, width) if turned else (width, height)


def _is_cut_png(path: Path) -> bool:
    with path.open("rb") as stream:
        if stream.read(len(_PNG_START)) != _PNG_START:
            return False
        # some writers leave a few bytes behind the last chunk
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - 1024))
        return _PNG_END not in stream.read()


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Pixels (height, width, 3) as BGR, 8 bits a channel.

    Raises:
        BrokenPictureError: the file cannot be decoded.
    """
    import cv2
    import numpy as np

    # through bytes: imread cannot open every Unicode name on every system
    pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise BrokenPictureError("is no picture that can be read")
    return np.asarray(pixels, np.uint8)


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write pixels (height, width[, 3 as BGR]) as PNG, whole or not at all."""
    import cv2

    done, buffer = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f"{path}: the picture could not be encoded as PNG")
    replace_with(path, buffer.tobytes())
