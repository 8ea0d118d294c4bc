"""An assignment -> the complete combination that is trained, every default of the catalog filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.catalog import MODELS, PARTS, SETTINGS
from runner.protocol import Combination, Part, Scalar, Scale
from sweeps.space.schema import Choice, FloatRange, IntRange, Option, Pick, SearchSpace

DEFAULT_MODEL = "mask_rcnn"
DEFAULT_AUGMENTATION = "flip"
DEFAULT_SCHEDULE = "step"
STANDARD_EPOCHS = 12  # MMDetection's 1x schedule
TINY_SIZE = [256, 256]
_ZOO_BATCH = 16  # images per iteration that the zoo's learning rates are made for


def resolve(
    space: SearchSpace, assignment: Mapping[str, Scalar], scale: Scale, n_train: int
) -> tuple[Combination, int]:
    """The combination and the seed of an assignment.

    Args:
        space: a checked space.
        assignment: parameter name of the study -> value, as `walk.suggest` gives it.
        scale: which defaults hold.
        n_train: number of training images, which the default number of epochs follows at tiny.
    """
    model = _parts(space, assignment, "model")[0]
    settings = {
        name: _setting(space, assignment, name, scale, n_train) for name in SETTINGS if name not in ("lr", "seed")
    }
    combination = Combination(
        model=_complete("model", model, scale),
        backbone=_complete("backbone", _one(space, assignment, "backbone", default_backbone(model.name, scale)), scale),
        augmentation=tuple(
            _complete("augmentation", pick, scale) for pick in _parts(space, assignment, "augmentation")
        ),
        optimizer=_optimizer(space, assignment, model.name, scale, settings["batch_size"]),
        schedule=_complete("schedule", _parts(space, assignment, "schedule")[0], scale),
        settings=settings,
        config={path: _plain(value, assignment, f"config.{path}") for path, value in space.config.items()},
    )
    seed = _chosen(space, assignment, "seed")
    return combination, SETTINGS["seed"].default if seed is None else int(seed)


def default_backbone(model: str, scale: Scale) -> str:
    """The backbone of a model where the space names none."""
    return "resnet18" if scale == "tiny" else MODELS[model].backbone


def default_setting(name: str, scale: Scale, n_train: int) -> Any:
    """The value of a setting where the space gives none."""
    if name == "epochs":
        return STANDARD_EPOCHS if scale == "standard" else max(8, min(40, round(400 / max(n_train, 1))))
    if name == "image_size":
        return TINY_SIZE if scale == "tiny" else None
    if name == "pretrained":
        return "none" if scale == "tiny" else "imagenet"
    return SETTINGS[name].at(scale)


def _setting(space: SearchSpace, assignment: Mapping[str, Scalar], name: str, scale: Scale, n_train: int) -> Any:
    value = _chosen(space, assignment, name)
    if value is None:
        value = default_setting(name, scale, n_train)
    return [value, value] if name == "image_size" and isinstance(value, int) else value


def _optimizer(space: SearchSpace, assignment: Mapping[str, Scalar], model: str, scale: Scale, batch: int) -> Part:
    """The optimizer; the setting `lr` is its learning rate, else the catalog's.

    SGD's at standard is the model's own of the zoo, made for 16 images and scaled linearly to the batch
    (arXiv:1706.02677): SOLOv2 trains at half of Mask R-CNN's.
    """
    pick = _one(space, assignment, "optimizer", MODELS[model].optimizer[scale])
    part = _complete("optimizer", pick, scale)
    rate = _chosen(space, assignment, "lr")
    if rate is None and pick.name == "SGD" and scale == "standard" and "lr" not in pick.params:
        rate = MODELS[model].lr * batch / _ZOO_BATCH
    return part if rate is None else Part(name=part.name, params={**part.params, "lr": float(rate)})


def _chosen(space: SearchSpace, assignment: Mapping[str, Scalar], key: str) -> Any:
    """The plain value of a setting, None where the space gives none."""
    return _plain(space.search.get(key, space.fixed.get(key)), assignment, key)


def _plain(value: Any, assignment: Mapping[str, Scalar], name: str) -> Any:
    """A value as it is; of a form what was assigned."""
    if isinstance(value, Choice):
        return value.option(assignment[name]).value
    return assignment[name] if isinstance(value, (FloatRange, IntRange)) else value


def _parts(space: SearchSpace, assignment: Mapping[str, Scalar], part: str) -> tuple[Pick, ...]:
    """What is chosen for a part, with plain parameters only."""
    form = space.search.get(part)
    if isinstance(form, Choice):
        option = form.option(assignment[part])
        return tuple(_filled(option, pick, assignment, part) for pick in option.value)
    defaults = {"model": DEFAULT_MODEL, "augmentation": DEFAULT_AUGMENTATION, "schedule": DEFAULT_SCHEDULE}
    return tuple(space.fixed[part]) if part in space.fixed else (Pick(defaults[part]),)


def _one(space: SearchSpace, assignment: Mapping[str, Scalar], part: str, default: str) -> Pick:
    given = part in space.search or part in space.fixed
    return _parts(space, assignment, part)[0] if given else Pick(default)


def _filled(option: Option, pick: Pick, assignment: Mapping[str, Scalar], part: str) -> Pick:
    params = {
        name: _plain(value, assignment, option.parameter(part, pick, name)) for name, value in pick.params.items()
    }
    return Pick(pick.name, params)


def _complete(part: str, pick: Pick, scale: Scale) -> Part:
    """The catalog's defaults at a scale, then what was chosen; as floats where those are wanted."""
    known = PARTS[part][pick.name].parameters
    params = {name: parameter.at(scale) for name, parameter in known.items()} | dict(pick.params)
    return Part(
        name=pick.name,
        params={name: float(v) if known[name].kind == "float" and v is not None else v for name, v in params.items()},
    )
