"""A part of the training images: how many, and which. Pure, free of torch."""

from __future__ import annotations

from runner.protocol import Combination

_GOLDEN = (5**0.5 - 1) / 2


def share_of(combination: Combination) -> float:
    """The share of the labelled training images that a combination is trained with; 1 where it does not say."""
    return float(combination.settings.get("train_share", 1.0))


def shared(images: int, share: float) -> int:
    """How many images a share of `images` is: at least one, where there is one."""
    return min(images, max(1, round(share * images)))


def kept(images: int, share: float) -> list[int]:
    """The numbers of the images that a share keeps, in order; no random state.

    Number i has the place i * golden ratio modulo 1, and the first places are kept. So they are spread evenly over the
    whole list, however many they are, those of a smaller share are among those of a larger one, and what comes
    again every second or tenth image (two cameras in turn) is kept in its proportion.
    """
    places = sorted(range(images), key=lambda number: number * _GOLDEN % 1)
    return sorted(places[: shared(images, share)])
