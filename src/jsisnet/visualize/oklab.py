"""Colours in Oklab, where distances are perceived ones, with normal and colour-blind vision."""

import numpy as np

from jsisnet.arrays import Float, UInt8

_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_VISIONS = np.array(
    [
        np.eye(3),
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
    ]
)
"""What is seen of linear RGB with normal vision, protanopia and deuteranopia (Machado et al.,
"A physiologically-based model for simulation of color vision deficiency", 2009)."""

_GAMMA = 2.2


def to_oklab(colors: UInt8[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Convert RGB to lightness, a and b."""
    return _linear_to_oklab((np.asarray(colors) / 255) ** _GAMMA)


def to_oklch(colors: UInt8[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Convert RGB to lightness, chroma and hue; a hue is a number of turns."""
    lightness, a, b = np.moveaxis(to_oklab(colors), -1, 0)
    return np.stack([lightness, np.hypot(a, b), np.arctan2(b, a) / (2 * np.pi)], axis=-1)


def from_oklch(colors: Float[np.ndarray, "*n 3"]) -> UInt8[np.ndarray, "*n 3"]:
    """Convert lightness, chroma and hue to RGB; colours that a screen can't show are clipped."""
    lightness, chroma, hue = np.moveaxis(colors, -1, 0)
    angle = 2 * np.pi * hue
    lab = np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=-1)
    linear = (lab @ np.linalg.inv(_LMS_TO_LAB).T) ** 3 @ np.linalg.inv(_RGB_TO_LMS).T
    return np.rint(255 * linear.clip(0, 1) ** (1 / _GAMMA)).astype(np.uint8)


def seen(colors: UInt8[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
    """Convert RGB to Oklab as seen with normal vision, protanopia and deuteranopia."""
    linear = (np.asarray(colors) / 255) ** _GAMMA
    return _linear_to_oklab((linear[:, None, None, :] @ _VISIONS.transpose(0, 2, 1))[:, :, 0])


def distance(
    one: Float[np.ndarray, "*n 3 3"], other: Float[np.ndarray, "*m 3 3"]
) -> Float[np.ndarray, "*k"] | np.floating:
    """Return how far apart colours are for those who tell them apart worst.

    Args:
        one: Colours as returned by `seen`.
        other: Colours to compare with, of the same shape or one that broadcasts.
    """
    return np.sqrt(((one - other) ** 2).sum(axis=-1)).min(axis=-1)


def _linear_to_oklab(linear: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    return np.cbrt(linear.clip(0, 1) @ _RGB_TO_LMS.T) @ _LMS_TO_LAB.T
