import numpy as np
import pytest

from jsisnet.visualize.oklab import distance, from_oklch, seen, to_oklab, to_oklch

COLORS = np.random.default_rng(0).integers(0, 256, (50, 3), dtype=np.uint8)


def test_conversion_is_reversible():
    assert abs(from_oklch(to_oklch(COLORS)).astype(int) - COLORS).max() <= 1


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ((255, 255, 255), (1.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 0, 0), (0.628, 0.225, 0.126)),
    ],
)
def test_known_colours(color, expected):
    assert to_oklab(np.array(color, np.uint8)) == pytest.approx(expected, abs=1e-3)


def test_red_and_green_of_one_lightness_look_alike_to_the_colour_blind():
    red, green, blue = seen(np.array([(190, 80, 40), (120, 120, 40), (40, 80, 190)], np.uint8))

    assert distance(red, green) < 0.5 * np.sqrt(((red[0] - green[0]) ** 2).sum())
    assert distance(red, blue) > 3 * distance(red, green)
