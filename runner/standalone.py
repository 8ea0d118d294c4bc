"""A rendered config without our plugins, for a machine that has MMDetection alone."""

from __future__ import annotations

from typing import Any

from runner import plugins
from runner.configfile import from_text, nodes, to_text
from runner.errors import UserError

DIFFERENCES = (
    "Standalone: our plugins are left out, so the score does not come out again to the last digit:",
    "- figures are CocoMetric's, rounded to three digits, and of at most 100 detections an image;",
    "- a score over other IoU thresholds (segm_mAP@LOW:HIGH) is not among them;",
    "- random numbers are MMDetection's own, and CPU threads are as many as torch takes;",
    "- with loader workers each epoch draws the same augmentations;",
    "- boxes of sheared, rotated and cropped objects are MMDetection's own, larger than their masks;",
    "- all training images are trained, where train_share took a part of them;",
    "- crops of MinIoURandomCrop are not enlarged to the size of the image;",
    "- MMDetection's own ShearX, ShearY and Rotate fail on images with more than 128 objects;",
    "- what we mended in heads, one cycle and accumulation is not mended there;",
    "- pretrained weights as safetensors, as a folder or by a hub id load with our plugins only.",
)

# ours -> what it is a version of
_TRANSFORMS = {
    name: name.removeprefix("Study")
    for name in (
        "StudyShearX", "StudyShearY", "StudyRotate", "StudyMinIoURandomCrop", "StudyAlbu",
        "StudyPhotoMetricDistortion",
    )
}  # fmt: skip
# ours -> MMDetection's or mmengine's own that it mends or widens
_OWN = {
    "LenientBN": "BN",
    "LenientDIIHead": "DIIHead",
    "LenientPointRendRoIHead": "PointRendRoIHead",
    "InsideDynamicMaskHead": "DynamicMaskHead",
    "TrueSizeRTMDetInsHead": "RTMDetInsSepBNHead",
    "StudyAmpOptimWrapper": "AmpOptimWrapper",
    "GroupOneCycleLR": "OneCycleLR",
}
_MIXING = {
    "StudyMosaic": "mosaic has no standalone form: MMDetection's own has no masks",
    "StudyCopyPaste": "copy_paste has no standalone form: MMDetection's own takes only images of equal size",
}
_WANT_BYTES = ("Equalize", "StudyAlbu", "Albu")


def without_plugins(text: str) -> str:
    """The config `text` with MMDetection's own metric and no hook of ours; a user's own files are still imported.

    Raises:
        UserError: `text` is no config of ours, or a part of it cannot be had without our plugins.
    """
    config = from_text(text)
    known = config.pop("custom_imports", {"imports": []})
    if own := [module for module in known["imports"] if not module.startswith("runner.")]:
        config["custom_imports"] = {**known, "imports": own}
    config["custom_hooks"] = [hook for hook in config.get("custom_hooks", ()) if hook["type"] not in plugins.__all__]
    config["train_dataloader"].pop("worker_init_fn", None)
    dataset = config["train_dataloader"]["dataset"]
    _plain_augmentations(dataset)
    if dataset["type"] == "StudyShareDataset":
        dataset["type"] = "CocoDataset"
        del dataset["share"]
    for name in ("val_evaluator", "test_evaluator"):
        metric = {k: v for k, v in config[name].items() if k not in ("detections", "iou_range")}
        config[name] = {**metric, "type": "CocoMetric"}
    _plain_parts(config)
    return to_text(config)


def _plain_parts(config: dict[str, Any]) -> None:
    """Puts MMDetection's own in the place of what only mends it.

    Raises:
        UserError: something of ours is left.
    """
    for node in nodes(config):
        for key in ("type", "constructor"):
            kind = node.get(key)
            if isinstance(kind, str) and kind in _OWN:
                node[key] = _OWN[kind]
            elif isinstance(kind, str) and kind in plugins.__all__:
                raise UserError(
                    f"{kind} has no standalone form: MMDetection alone does not have it; leave out --standalone"
                )


def _plain_augmentations(dataset: dict[str, Any]) -> None:
    """Puts MMDetection's own transforms in the place of ours.

    Raises:
        UserError: there is none that would do.
    """
    instead = "leave out --standalone"
    if dataset["type"] == "StudyMixDataset":
        ours = dataset["pipeline"][0]["type"]
        why = _MIXING.get(ours, f"{ours} has no standalone form: MMDetection's own data set fails on an empty image")
        raise UserError(f"{why}; {instead}")
    seen: list[str] = []
    for transform in nodes(dataset["pipeline"]):
        kind = transform.get("type")
        if kind in _WANT_BYTES and "PhotoMetricDistortion" in seen:
            why = f"photometric_distortion before {kind} has no standalone form: MMDetection's own leaves no bytes"
            raise UserError(f"{why}; {instead}")
        if kind == "BoxesFromMasks":
            kind, least = "FilterAnnotations", transform.pop("min_area", 4)
            transform.update(type=kind, by_mask=True, min_gt_mask_area=least)
        elif kind in _TRANSFORMS:
            kind = transform["type"] = _TRANSFORMS[kind]
        seen.append(str(kind))
