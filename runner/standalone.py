"""A rendered config without our plugins, for a machine that has MMDetection alone."""

from __future__ import annotations

from mmengine.config import Config

from runner.configfile import to_text

DIFFERENCES = (
    "Standalone: our plugins are left out, so the score does not come out again to the last digit:",
    "- figures are CocoMetric's, rounded to three digits, and of at most 100 detections an image;",
    "- a score over other IoU thresholds (segm_mAP@LOW:HIGH) is not among them;",
    "- random numbers are MMDetection's own, and CPU threads are as many as torch takes;",
    "- with loader workers each epoch draws the same augmentations.",
)


def without_plugins(text: str) -> str:
    """The config `text` with MMDetection's own metric and no hook of ours.

    Raises:
        SyntaxError: `text` is no config.
    """
    config = Config.fromstring(text, file_format=".py").to_dict()
    config.pop("custom_imports", None)
    config.pop("custom_hooks", None)
    config["train_dataloader"].pop("worker_init_fn", None)
    for name in ("val_evaluator", "test_evaluator"):
        metric = {k: v for k, v in config[name].items() if k not in ("detections", "iou_range")}
        config[name] = {**metric, "type": "CocoMetric"}
    return to_text(config)
