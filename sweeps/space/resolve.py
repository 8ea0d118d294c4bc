"""An assignment -> the complete combination that is trained, every default of the catalog filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.catalog import BACKBONES, MODELS, PARTS, SETTINGS
from runner.protocol import Combination, Part, Scalar, Scale
from sweeps.space.identity import plain
from sweeps.space.schema import Choice, FloatRange, IntRange, Option, Pick, SearchSpace

DEFAULT_MODEL = "mask_rcnn"
DEFAULT_AUGMENTATION = "flip"
DEFAULT_SCHEDULE = "step"
STANDARD_EPOCHS = 12  # MMDetection's 1x schedule
TINY_SIZE = [256, 256]
_BACKBONE_BATCH = 16  # images per iteration that backbones' learning rates are made for
_LINEAR = ("SGD", "ASGD")


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
    if settings["train_share"] == 1:
        del settings["train_share"]  # all images: no other combination than before there was such a setting
    backbone = _one(space, assignment, "backbone", default_backbone(model.name, scale))
    if _chosen(space, assignment, "pretrained") is None and BACKBONES[backbone.name].imagenet is None:
        settings["pretrained"] = "none"  # a backbone of the user's own
    optimizer = _optimizer(space, assignment, (model.name, backbone.name), scale, settings["batch_size"])
    schedule = _complete("schedule", _parts(space, assignment, "schedule")[0], scale)
    if optimizer.name == "Rprop":  # its rate is but the first step's size: with any schedule it is the same training
        schedule = Part(name="constant", params={"warmup": 0, "warmup_factor": 1.0})
    combination = Combination(
        model=_complete("model", model, scale),
        backbone=_complete("backbone", backbone, scale),
        augmentation=tuple(
            _complete("augmentation", pick, scale) for pick in _parts(space, assignment, "augmentation")
        ),
        optimizer=optimizer,
        schedule=schedule,
        settings=settings,
        config={path: _plain(value, assignment, f"config.{path}") for path, value in space.config.items()},
    )
    return combination, seed_of(space, assignment)


def seed_of(space: SearchSpace, assignment: Mapping[str, Scalar]) -> int:
    """The seed of an assignment alone."""
    seed = _chosen(space, assignment, "seed")
    return int(SETTINGS["seed"].default if seed is None else seed)


def written(space: SearchSpace, assignment: Mapping[str, Scalar]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an assignment trains as one would write it, (fixed, config): what the space leaves open stays so.

    The seed is left out.
    """
    given = [key for key in (*PARTS, *SETTINGS) if key != "seed" and (key in space.search or key in space.fixed)]
    fixed = {
        key: plain(_parts(space, assignment, key)) if key in PARTS else _chosen(space, assignment, key) for key in given
    }
    return fixed, {path: _plain(value, assignment, f"config.{path}") for path, value in space.config.items()}


def default_backbone(model: str, scale: Scale) -> str:
    """The backbone of a model where the space names none."""
    return "resnet18" if scale == "tiny" else MODELS[model].backbone


def default_optimizer(model: str, backbone: str, scale: Scale) -> str:
    """The optimizer where the space names none.

    At standard the one by which MMDetection trains the backbone (AdamW for Swin), else the model; a model with the
    backbone the zoo gives it is trained by the model's.
    """
    hint = BACKBONES[backbone].optimizer
    if scale == "standard" and hint and not _own_pair(model, backbone):
        return hint
    return MODELS[model].optimizer[scale]


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
    if name == "image_size" and isinstance(value, int):
        return [value, value]
    return float(value) if SETTINGS[name].kind == "float" and value is not None else value


def _optimizer(
    space: SearchSpace, assignment: Mapping[str, Scalar], pair: tuple[str, str], scale: Scale, batch: int
) -> Part:
    """The optimizer of a (model, backbone); the setting `lr` is its learning rate, else the zoo's or the catalog's."""
    pick = _one(space, assignment, "optimizer", default_optimizer(*pair, scale))
    own = _recipe(*pair, pick.name, batch) if scale == "standard" else {}
    part = _complete("optimizer", Pick(pick.name, {**own, **pick.params}), scale)
    rate = _chosen(space, assignment, "lr")
    return part if rate is None else Part(name=part.name, params={**part.params, "lr": float(rate)})


def _recipe(model: str, backbone: str, optimizer: str, batch: int) -> dict[str, float]:
    """MMDetection's learning rate and weight decay, where it trains the model or the backbone by that optimizer.

    The rate is scaled from the zoo's batch to ours: linearly for SGD (arXiv:1706.02677), by the square root for what
    divides by a root of squared gradients (arXiv:2205.10287). SOLOv2 trains at half of Mask R-CNN's.
    """
    entry, hint = MODELS[model], BACKBONES[backbone]
    if optimizer == hint.optimizer and not _own_pair(model, backbone):
        rate, decay, made_for = hint.lr, hint.weight_decay, _BACKBONE_BATCH
    elif optimizer == entry.optimizer["standard"]:
        rate, decay, made_for = entry.lr, entry.weight_decay, entry.zoo_batch
        if optimizer == "SGD" and hint.optimizer is None and hint.weight_decay is not None:
            decay = hint.weight_decay  # RegNet's, under any model that SGD trains
    else:
        return {}
    share = batch / made_for
    found = {"weight_decay": decay} if decay is not None else {}
    return found if rate is None else {**found, "lr": rate * (share if optimizer in _LINEAR else share**0.5)}


def _own_pair(model: str, backbone: str) -> bool:
    """Whether the zoo trains them together, so that the model's recipe is the backbone's too."""
    return MODELS[model].backbone == backbone


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
