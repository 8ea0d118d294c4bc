"""Augmentations: name -> MMDetection transforms, in the order they are applied.

A value "$name" stands for the parameter of that name, "$size" for (width, height) of the study's images. An entry
with ``size`` sets the training and test resolution (width, height) and keeps the aspect ratio; the setting image_size
shrinks it to fit. No augmentation leaves an image larger than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.catalog.base import Entry, Parameter

Transform = Mapping[str, Any]


@dataclass(frozen=True)
class Augmentation(Entry):
    """An augmentation.

    Attributes:
        transforms: come after the resize, in the place the augmentation has in its list.
        size: (width, height) in pixels, or None.
        strength: how far it takes images from those that were photographed: 0.1 for a mirror image, 0.2 for each kind
            of change of grey values or colours, 0.3 for each warp or change of scale, 0.4 for a crop, 0.5 for other
            images mixed in. Those of a list add up, to at most 1.
        mixes: its first transform takes other images of the data set.
        once: a second one in the same list has no meaning.
    """

    transforms: tuple[Transform, ...] = ()
    size: tuple[int, int] | None = None
    strength: float = 0.0
    mixes: bool = False
    once: bool = False


def list_strength(names: tuple[str, ...]) -> float:
    """Strength of augmentations applied one after the other, from 0 to 1."""
    return round(min(1.0, sum(AUGMENTATIONS[name].strength for name in names)), 2)


def _probability(what: str, default: float = 0.5) -> dict[str, Parameter]:
    return {"probability": Parameter("float", default, 0, 1, help=f"share of images {what}")}


def _sometimes(*transforms: Transform) -> Transform:
    return {"type": "RandomApply", "prob": "$probability", "transforms": list(transforms)}


def _resize(width: int, height: int) -> Augmentation:
    return Augmentation(
        f"resize_{width}x{height}", f"resize {width} x {height} + flip", "mmdet.datasets.transforms.Resize",
        size=(width, height), transforms=({"type": "RandomFlip", "prob": 0.5},), strength=0.1,
    )  # fmt: skip


_BOXES = {"type": "BoxesFromMasks"}
_LEVELS = {"min_mag": "$min_magnitude", "max_mag": "$max_magnitude"}
_DEGREES = {
    "max_degrees": Parameter("float", 30.0, 0, 60, help="angle, drawn from - to + this (steps of 0.1)"),
}
_MAGNITUDES = {
    "min_magnitude": Parameter("float", 0.5, 0, 1, help="least factor, 1 is the image as it is (steps of 0.1)"),
    "max_magnitude": Parameter("float", 1.5, 1, 2, help="largest factor (steps of 0.1)"),
}
# images that are not warped keep the boxes they were labelled with
_SHEAR = tuple(_sometimes({"type": f"StudyShear{axis}", "max_mag": "$max_degrees"}, _BOXES) for axis in "XY")
_FLIP = {"type": "RandomFlip", "prob": "$probability", "direction": "$direction"}
_DIRECTION = Parameter("str", "horizontal", choices=("horizontal", "vertical", "diagonal"), help="axis of the mirror")

_TEAM = (
    Augmentation(
        "shear", "shear", "mmdet.datasets.transforms.ShearX and ShearY",
        {**_probability("sheared, along x and along y apart"), **_DEGREES}, transforms=_SHEAR, strength=0.3,
    ),
    Augmentation(
        "rotate", "rotate", "mmdet.datasets.transforms.Rotate",
        {
            **_probability("rotated"),
            "max_degrees": Parameter("float", 30.0, 0, 180, help="angle, drawn from - to + this (steps of 0.1)"),
        },
        transforms=(_sometimes({"type": "StudyRotate", "max_mag": "$max_degrees"}, _BOXES),), strength=0.3,
    ),
    Augmentation(
        "flip", "random flip", "mmdet.datasets.transforms.RandomFlip",
        {**_probability("flipped"), "direction": _DIRECTION}, transforms=(_FLIP,), strength=0.1,
    ),
    Augmentation(
        "equalize", "equalize histogram", "mmdet.datasets.transforms.Equalize", _probability("equalized"),
        transforms=({"type": "Equalize", "prob": "$probability"},), strength=0.2,
    ),
    Augmentation(
        "brightness", "brightness", "mmdet.datasets.transforms.Brightness", {**_probability("changed"), **_MAGNITUDES},
        transforms=({"type": "Brightness", "prob": "$probability", **_LEVELS},), strength=0.2,
    ),
    Augmentation(
        "contrast", "contrast", "mmdet.datasets.transforms.Contrast", {**_probability("changed"), **_MAGNITUDES},
        transforms=({"type": "Contrast", "prob": "$probability", **_LEVELS},), strength=0.2,
    ),
    Augmentation(
        "min_iou_random_crop", "MinIoURandomCrop", "mmdet.datasets.transforms.MinIoURandomCrop (arXiv:1512.02325)",
        {
            # particles are so small beside a crop that it reaches no IoU: half of the images stay whole
            **_probability("cropped, if a crop is found", 1.0),
            "min_crop_size": Parameter("float", 0.3, 0.1, 1, help="least width and height of the crop, as a share"),
        },
        transforms=(
            _sometimes({"type": "StudyMinIoURandomCrop", "min_crop_size": "$min_crop_size"}, _BOXES),
        ),
        strength=0.7,
    ),
)  # fmt: skip

_ALL = Augmentation(
    "all", "all augmentations of the team", ", ".join(entry.name for entry in _TEAM),
    # a parameter that several of them have is one for all, in the range that all of them take
    _probability("each is applied to")
    | {name: p for entry in reversed(_TEAM) for name, p in entry.parameters.items() if name != "probability"},
    transforms=tuple(transform for entry in _TEAM for transform in entry.transforms), strength=1.0, once=True,
)  # fmt: skip

_BEYOND = (
    Augmentation(
        "albu", "Albumentations: equalize, brightness and contrast", "mmdet.datasets.transforms.Albu",
        {
            **_probability("equalized, and as many with other brightness and contrast"),
            "brightness_limit": Parameter("float", 0.2, 0, 1, help="largest change, as a share of white"),
            "contrast_limit": Parameter("float", 0.2, 0, 1, help="largest change of the factor 1"),
        },
        transforms=({"type": "StudyAlbu", "keymap": {"img": "image"}, "transforms": [
            {"type": "Equalize", "p": "$probability"},
            {"type": "RandomBrightnessContrast", "p": "$probability",
             "brightness_limit": "$brightness_limit", "contrast_limit": "$contrast_limit"},
        ]},), strength=0.6,
    ),
    Augmentation(
        "random_resize", "multi-scale", "mmcv.transforms.RandomResize",
        {"min_scale": Parameter("float", 0.5, 0.1, 1, help="least share of the image size, drawn up to 1")},
        transforms=(
            {"type": "RandomResize", "scale": "$size", "ratio_range": ("$min_scale", 1.0), "keep_ratio": True}, _BOXES,
        ),
        strength=0.3,
    ),
    Augmentation(
        "random_crop", "scale jitter and crop", "large-scale jittering, arXiv:2012.07177; mmdet's is 0.1 to 2",
        {
            "min_scale": Parameter("float", 0.5, 0.1, 1, help="least scale before the crop"),
            "max_scale": Parameter("float", 1.5, 1, 2, help="largest scale before the crop"),
        },
        transforms=(
            {"type": "RandomResize", "scale": "$size", "ratio_range": ("$min_scale", "$max_scale"), "keep_ratio": True},
            {"type": "RandomCrop", "crop_size": "$size"}, _BOXES,
        ),
        strength=0.7,
    ),
    Augmentation(
        "photometric_distortion", "photometric distortion",
        "mmdet.datasets.transforms.PhotoMetricDistortion (arXiv:1512.02325)",
        {
            **_probability("distorted"),
            "brightness_delta": Parameter("float", 32.0, 0, 128, help="largest change of brightness, of 255"),
            "min_contrast": Parameter("float", 0.5, 0, 1, help="least factor of contrast"),
            "max_contrast": Parameter("float", 1.5, 1, 2, help="largest factor of contrast"),
            "min_saturation": Parameter("float", 0.5, 0, 1, help="least factor of saturation"),
            "max_saturation": Parameter("float", 1.5, 1, 2, help="largest factor of saturation"),
            "hue_delta": Parameter("float", 18.0, 0, 180, help="largest change of hue in degrees"),
        },
        transforms=(_sometimes({
            "type": "StudyPhotoMetricDistortion", "brightness_delta": "$brightness_delta",
            "contrast_range": ("$min_contrast", "$max_contrast"),
            "saturation_range": ("$min_saturation", "$max_saturation"), "hue_delta": "$hue_delta",
        }),), strength=0.8,
    ),
    Augmentation(
        "clahe", "CLAHE", "albumentations.CLAHE, through mmdet.datasets.transforms.Albu",
        {
            **_probability("changed"),
            "clip_limit": Parameter("float", 4.0, 1, 16, help="largest limit of contrast, drawn from 1"),
            "tiles": Parameter("int", 8, 1, 64, help="tiles along each side, each with its own histogram"),
        },
        transforms=({"type": "StudyAlbu", "keymap": {"img": "image"}, "transforms": [
            {"type": "CLAHE", "p": "$probability", "clip_limit": (1.0, "$clip_limit"),
             "tile_grid_size": ("$tiles", "$tiles")},
        ]},), strength=0.2,
    ),
    Augmentation(
        "copy_paste", "copy-paste", "arXiv:2012.07177; mmdet.datasets.transforms.CopyPaste",
        {
            **_probability("that objects of another image are pasted onto"),
            "max_num_pasted": Parameter("int", 100, 1, 1000, help="at most so many objects; drawn from 0"),
        },
        transforms=({"type": "StudyCopyPaste", "prob": "$probability", "max_num_pasted": "$max_num_pasted"},),
        strength=0.5, mixes=True,
    ),
    Augmentation(
        "mosaic", "mosaic of four images", "arXiv:2004.10934",
        {
            **_probability("made into a mosaic"),
            "min_scale": Parameter("float", 0.5, 0.25, 0.5, help="least scale of each of the four"),
            "max_scale": Parameter("float", 1.0, 0.5, 1, help="largest scale of each of the four"),
        },
        transforms=({"type": "StudyMosaic", "prob": "$probability", "scale_range": ("$min_scale", "$max_scale")},),
        strength=0.8, mixes=True, once=True,
    ),
)  # fmt: skip

AUGMENTATIONS = {
    entry.name: entry
    for entry in (
        Augmentation("none", "none", "no augmentation"),
        *(_resize(*size) for size in ((1024, 1024), (1280, 1024), (1333, 800))),
        *_TEAM, _ALL, *_BEYOND,
    )
}  # fmt: skip
