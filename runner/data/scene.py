"""What floats in the fluid: particles and debris of one generated picture as numbers, before it is drawn.

Lengths are in reference pixels, those of a 1024 x 1280 picture: a smaller one shows the same scene shrunk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

RADIUS_MEDIAN, RADIUS_SPREAD = 33.0, 0.32  # log-normal, as the sizes of milled or grown particles are
RADIUS_RANGE = (20.0, 56.0)
CLUSTER_SHARE = 0.4  # of the particles lie against an earlier one
MOST_HIDDEN = 0.55  # of an earlier particle, by later ones: what is left can still be labelled
TRIES = 30


@dataclass(frozen=True)
class Particle:
    """One particle.

    Attributes:
        x, y: centre.
        radius: of the circle of equal area, about.
        ratio, angle: short to long axis, direction of the long one (radians).
        bumps: (amplitude, phase) of the 2nd, 3rd, ... harmonic of the outline, relative to the radius.
        defocus: 0 in focus to 1 far out of it.
        body: brightness of the inside relative to the light behind it.
        rim: how much darker the edge is.
        core: how much brighter the middle is; a clear particle gathers light like a lens.
    """

    x: float
    y: float
    radius: float
    ratio: float
    angle: float
    bumps: tuple[tuple[float, float], ...]
    defocus: float
    body: float
    rim: float
    core: float


@dataclass(frozen=True)
class Debris:
    """Something that is no particle: ``thread``, ``scratch``, ``bubble`` or ``speck``.

    Attributes:
        points: corners of a line, or the centre.
        width: of the line, or radius of the disc.
        strength: how much darker (or brighter, if negative) it is than the light behind it.
        blur: sigma in reference pixels.
    """

    kind: str
    points: tuple[tuple[float, float], ...]
    width: float
    strength: float
    blur: float


@dataclass(frozen=True)
class Scene:
    """Particles in drawing order (a later one hides an earlier one) and the debris behind them."""

    height: float
    width: float
    particles: tuple[Particle, ...]
    debris: tuple[Debris, ...]


def draw_scene(rng: np.random.Generator, height: float, width: float, density: float) -> Scene:
    """A random scene; ``density`` is the mean number of particles in 1024 x 1280 reference pixels."""
    share = height * width / (1024 * 1280)
    number = max(1, round(density * share * rng.uniform(0.6, 1.5)))
    particles: list[Particle] = []
    hidden: list[float] = []
    for _ in range(number):
        for _ in range(TRIES):
            new = _particle(rng, height, width, particles)
            cover = [_overlap(old, new) / (math.pi * old.radius**2) for old in particles]
            if all(before + more <= MOST_HIDDEN for before, more in zip(hidden, cover, strict=True)):
                hidden = [before + more for before, more in zip(hidden, cover, strict=True)] + [0.0]
                particles.append(new)
                break
    return Scene(height, width, tuple(particles), tuple(_debris(rng, height, width)))


def _particle(rng: np.random.Generator, height: float, width: float, others: list[Particle]) -> Particle:
    radius = float(clip(RADIUS_MEDIAN * math.exp(RADIUS_SPREAD * rng.standard_normal()), *RADIUS_RANGE))
    if others and rng.random() < CLUSTER_SHARE:
        near = others[int(rng.integers(len(others)))]
        distance, turn = (near.radius + radius) * rng.uniform(0.68, 1.03), rng.uniform(0, 2 * math.pi)
        x, y = near.x + distance * math.cos(turn), near.y + distance * math.sin(turn)
    else:
        x, y = (
            rng.uniform(-0.3 * radius, width + 0.3 * radius),
            rng.uniform(-0.3 * radius, height + 0.3 * radius),
        )
    dark = rng.random() < 0.6
    return Particle(
        x=float(clip(x, -0.3 * radius, width + 0.3 * radius)),
        y=float(clip(y, -0.3 * radius, height + 0.3 * radius)),
        radius=radius,
        ratio=float(rng.uniform(0.72, 1.0)),
        angle=float(rng.uniform(0, math.pi)),
        bumps=tuple((float(abs(rng.normal(0, 0.07 / k))), float(rng.uniform(0, 2 * math.pi))) for k in range(2, 6)),
        defocus=float(rng.beta(1.1, 2.6)),
        body=float(rng.uniform(0.42, 0.62) if dark else rng.uniform(0.82, 0.98)),
        rim=float(rng.uniform(0.12, 0.22) if dark else rng.uniform(0.42, 0.6)),
        core=float(rng.uniform(0.0, 0.18) if dark else rng.uniform(0.1, 0.3)),
    )


def _debris(rng: np.random.Generator, height: float, width: float) -> list[Debris]:
    share = height * width / (1024 * 1280)
    found: list[Debris] = []

    def spot() -> tuple[float, float]:
        return float(rng.uniform(0, width)), float(rng.uniform(0, height))

    for _ in range(rng.poisson(1.6 * share)):
        found.append(Debris("thread", _walk(rng, spot()), rng.uniform(3, 8), rng.uniform(0.2, 0.5), rng.uniform(1, 7)))
    for _ in range(rng.poisson(1.2 * share)):
        (x, y), turn, length = spot(), rng.uniform(0, math.pi), rng.uniform(120, 500)
        end = (x + length * math.cos(turn), y + length * math.sin(turn))
        strength = rng.uniform(0.08, 0.2) * rng.choice([-1, 1])
        found.append(Debris("scratch", ((x, y), end), rng.uniform(2, 4), strength, rng.uniform(0.5, 2)))
    for _ in range(rng.poisson(0.8 * share)):
        found.append(Debris("bubble", (spot(),), rng.uniform(30, 80), rng.uniform(0.75, 0.9), rng.uniform(1, 4)))
    for _ in range(rng.poisson(22 * share)):
        found.append(Debris("speck", (spot(),), rng.uniform(2, 7), rng.uniform(0.1, 0.4), rng.uniform(1, 6)))
    return found


def _walk(rng: np.random.Generator, start: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """A fibre: steps that keep their direction for a while."""
    points, turn, bend = [start], rng.uniform(0, 2 * math.pi), rng.normal(0, 0.12)
    for _ in range(int(rng.integers(12, 40))):
        bend = 0.85 * bend + rng.normal(0, 0.07)
        turn += bend
        x, y = points[-1]
        points.append((float(x + 14 * math.cos(turn)), float(y + 14 * math.sin(turn))))
    return tuple(points)


def _overlap(one: Particle, two: Particle) -> float:
    """Area two circles of the particles' radii share."""
    d, a, b = math.hypot(one.x - two.x, one.y - two.y), one.radius, two.radius
    if d >= a + b:
        return 0.0
    if d <= abs(a - b):
        return math.pi * min(a, b) ** 2
    alpha = math.acos((d * d + a * a - b * b) / (2 * d * a))
    beta = math.acos((d * d + b * b - a * a) / (2 * d * b))
    return a * a * (alpha - math.sin(2 * alpha) / 2) + b * b * (beta - math.sin(2 * beta) / 2)


def clip(value: float, low: float, high: float) -> float:
    """The value, or the nearer end of the range."""
    return min(max(value, low), high)
