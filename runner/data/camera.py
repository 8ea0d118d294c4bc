"""Draws a scene as a bright-field microscope's camera sees it: light from behind, defocus rings, blur, noise.

A model that looks right, not an optical simulation: the rings follow the signed distance to the outline.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from runner.data.scene import Debris, Particle, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.float32]

POINT_SPREAD = 0.6  # sigma in camera pixels of the lens in focus
OUTLINE_STEPS = 512


def photograph(
    scene: Scene, height: int, width: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Draw a scene.

    Returns:
        The picture (height, width), 8-bit grey, and for each pixel the number of the particle seen there
        (from 1, in the scene's order; 0 is none): a later particle hides an earlier one.
    """
    import cv2

    zoom = height / scene.height
    light = _light(rng, height, width)
    picture = light.copy()
    for debris in scene.debris:
        _draw_debris(picture, debris, zoom)
    owner = np.zeros((height, width), np.int32)
    for number, particle in enumerate(scene.particles, start=1):
        _draw_particle(picture, light, owner, particle, number, zoom)
    picture = cv2.GaussianBlur(picture, (0, 0), POINT_SPREAD)
    return _expose(picture, rng), owner


def _light(rng: np.random.Generator, height: int, width: int) -> Plane:
    """Uneven illumination: a slope, a vignette, and slow blotches; about 0.7 in the middle."""
    import cv2

    y, x = np.mgrid[-1 : 1 : complex(0, height), -1 : 1 : complex(0, width)].astype(np.float32)
    slope_x, slope_y = rng.uniform(-0.07, 0.07, 2)
    centre_x, centre_y = rng.uniform(-0.3, 0.3, 2)
    vignette = rng.uniform(0.04, 0.13) * ((x - centre_x) ** 2 + (y - centre_y) ** 2)
    blotches = cv2.resize(
        rng.normal(0, 0.012, (6, 8)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    level = rng.uniform(0.66, 0.76)
    return np.asarray(level + slope_x * x + slope_y * y - vignette + blotches, np.float32)


def _draw_particle(
    picture: Plane, light: Plane, owner: NDArray[np.int32], particle: Particle, number: int, zoom: float
) -> None:
    radius = particle.radius * zoom
    reach = radius * (1.5 + 1.1 * particle.defocus) + 3
    window = _window(particle.x * zoom, particle.y * zoom, reach, picture.shape)
    if window is None:
        return
    distance, rho = _signed_distance(particle, zoom, window)
    glow, cover = _profile(particle, distance, rho, radius)
    behind = picture[window]
    picture[window] = glow * (cover * light[window] + (1 - cover) * behind)
    owner[window][distance < 0] = number


def _window(x: float, y: float, reach: float, shape: tuple[int, ...]) -> tuple[slice, slice] | None:
    top, bottom = max(0, math.floor(y - reach)), min(shape[0], math.ceil(y + reach) + 1)
    left, right = max(0, math.floor(x - reach)), min(shape[1], math.ceil(x + reach) + 1)
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def _signed_distance(particle: Particle, zoom: float, window: tuple[slice, slice]) -> tuple[Plane, Plane]:
    """Distance in pixels to the outline (negative inside), and to the centre relative to the outline's."""
    y, x = np.mgrid[window].astype(np.float32)
    dx, dy = x - np.float32(particle.x * zoom), y - np.float32(particle.y * zoom)
    rho = np.hypot(dx, dy)
    # the outline is looked up in a table by angle: five cosines a pixel would take most of the time
    angles = np.arange(OUTLINE_STEPS) * (2 * math.pi / OUTLINE_STEPS)
    long, short = particle.radius / math.sqrt(particle.ratio), particle.radius * math.sqrt(particle.ratio)
    turned = angles - particle.angle
    outline = long * short / np.hypot(short * np.cos(turned), long * np.sin(turned))
    for k, (amplitude, phase) in enumerate(particle.bumps, start=2):
        outline *= 1 + amplitude * np.cos(k * angles + phase)
    step = (np.arctan2(dy, dx) * (OUTLINE_STEPS / (2 * math.pi))).astype(np.int32) % OUTLINE_STEPS
    edge = (outline * zoom).astype(np.float32)[step]
    return rho - edge, rho / edge


def _profile(particle: Particle, distance: Plane, rho: Plane, radius: float) -> tuple[Plane, Plane]:
    """Brightness relative to the light behind, and how much of what lies behind is covered (0 to 1)."""
    f = particle.defocus
    soft = np.float32((0.025 + 0.13 * f) * radius + 0.35)
    cover = (0.5 - 0.5 * np.tanh(distance / soft)).astype(np.float32)
    core = particle.core * (1 - 0.3 * f) * np.exp(-((rho / 0.5) ** 2))
    rim_width = (0.10 + 0.12 * f) * radius + 0.3
    rim = particle.rim * (1 - 0.45 * f) * np.exp(-(((distance + 0.10 * radius) / rim_width) ** 2))
    # Fresnel-like fringes: wider, stronger and farther out with the distance from the focal plane
    wavelength = (0.20 + 0.24 * f) * radius
    fade = np.exp(-np.abs(distance) / ((0.14 + 0.38 * f) * radius))
    rings = (0.05 + 0.20 * f) * np.cos(2 * math.pi * distance / wavelength - 1.6) * fade
    glow = 1 + cover * (particle.body - 1 + core) - rim + rings
    return np.maximum(glow, 0.05).astype(np.float32), cover


def _draw_debris(picture: Plane, debris: Debris, zoom: float) -> None:
    import cv2

    layer = np.zeros(picture.shape, np.float32)
    points = np.array(debris.points, np.float64) * zoom
    thickness = max(1, round(debris.width * zoom))
    strength = debris.strength * min(1.0, max(0.35, debris.width * zoom))
    if debris.kind in ("thread", "scratch"):
        cv2.polylines(layer, [np.round(points * 8).astype(np.int32)], False, strength, thickness, cv2.LINE_AA, 3)
    elif debris.kind == "speck":
        centre = (round(points[0][0] * 8), round(points[0][1] * 8))
        cv2.circle(layer, centre, max(4, round(debris.width * zoom * 8)), strength, -1, cv2.LINE_AA, 3)
    else:
        _draw_bubble(layer, points[0], debris.width * zoom, strength)
    layer = cv2.GaussianBlur(layer, (0, 0), max(0.4, debris.blur * zoom))
    picture *= 1 - layer


def _draw_bubble(layer: Plane, centre: NDArray[np.float64], radius: float, strength: float) -> None:
    """A gas bubble: a broad black ring round a small bright window, which no particle shows."""
    import cv2

    at = (round(centre[0] * 8), round(centre[1] * 8))
    cv2.circle(layer, at, round(radius * 8), strength, -1, cv2.LINE_AA, 3)
    cv2.circle(layer, at, round(0.42 * radius * 8), -0.25, -1, cv2.LINE_AA, 3)
    side = (round((centre[0] - 0.62 * radius) * 8), round((centre[1] - 0.35 * radius) * 8))
    cv2.circle(layer, side, round(0.09 * radius * 8), -0.1, -1, cv2.LINE_AA, 3)


def _expose(picture: Plane, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Photon noise, which grows with the light, and the sensor's own; then 8 bits."""
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    sigma = np.sqrt(np.maximum(picture, 0) * np.float32(2.5e-4) + np.float32(6e-5))
    return np.asarray(np.clip(np.rint((picture + noise * sigma) * 255), 0, 255), np.uint8)
