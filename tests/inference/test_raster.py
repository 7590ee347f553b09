import numpy as np
import pytest
import torch
import torch.nn.functional as F

from jsisnet.inference import raster
from jsisnet.inference.raster import NO_CHANNEL, Upsampled, paste, windows

ROUNDING = 1e-5


def smooth(channels=5, grid=(9, 11)):
    coarse = torch.randn(1, channels, 3, 3, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, size=grid, mode="bicubic")[0].numpy()


def everywhere(canvas):
    return np.ones(canvas, bool)


def resized(logits, canvas):
    return F.interpolate(torch.from_numpy(logits)[None], size=canvas, mode="bilinear")[0].numpy()


@pytest.mark.parametrize("canvas", [(36, 44), (40, 31), (9, 11), (5, 4), (1, 1), (400, 700)])
def test_the_best_channel_is_that_of_the_resized_logits(canvas):
    logits = smooth()

    best = Upsampled.to(canvas, logits).best(everywhere(canvas))

    assert np.array_equal(best, resized(logits, canvas).argmax(0))


def test_the_logits_at_a_pixel_are_those_of_the_resized_logits():
    logits = smooth()
    rows, columns = np.array([0, 17, 35]), np.array([43, 20, 0])

    values = Upsampled.to((36, 44), logits).at(rows, columns)

    np.testing.assert_allclose(
        values, resized(logits, (36, 44))[:, rows, columns].T, rtol=1.3e-6, atol=1e-5
    )


def test_unwanted_pixels_get_no_channel():
    wanted = everywhere((36, 44))
    wanted[::2] = False

    best = Upsampled.to((36, 44), smooth()).best(wanted)

    assert np.array_equal(best == NO_CHANNEL, ~wanted)


def test_selected_channels_are_renumbered():
    logits = smooth()

    best = Upsampled.to((36, 44), logits).channels([1, 3]).best(everywhere((36, 44)))

    assert np.array_equal(best, resized(logits[[1, 3]], (36, 44)).argmax(0))


@pytest.mark.parametrize("scale", [1, 3, 30])
@pytest.mark.parametrize("canvas", [(36, 44), (5, 4), (1, 1), (400, 700)])
def test_probabilities_are_among_all_channels(scale, canvas):
    logits = smooth() * scale

    found = Upsampled.to(canvas, logits).exceeds(0.5, [1, 3], everywhere(canvas))

    probabilities = torch.from_numpy(resized(logits, canvas)).softmax(0).numpy()
    sure = np.abs(probabilities[[1, 3]].max(0) - 0.5) > ROUNDING
    assert sure.mean() > 0.99
    assert np.array_equal(found[sure], (probabilities[[1, 3]] >= 0.5).any(0)[sure])


def test_unwanted_pixels_are_not_probable():
    wanted = everywhere((36, 44))
    wanted[::2] = False

    found = Upsampled.to((36, 44), smooth() * 30).exceeds(0.5, [0, 1, 2, 3], wanted)

    assert found[1::2].any()
    assert not found[::2].any()


def test_a_window_holds_the_pixels_whose_centres_lie_in_the_box():
    boxes = np.float32([[0.5, 1.6, 2.5, 3.4], [0.6, 1.4, 2.6, 3.6]])

    assert windows(boxes, (9, 9)) == [
        (slice(2, 3), slice(0, 2)),
        (slice(1, 4), slice(1, 3)),
    ]


def test_a_window_ends_at_the_border_of_the_canvas():
    boxes = np.float32([[-5, -5, 50, 1]])

    assert windows(boxes, (4, 6)) == [(slice(0, 1), slice(0, 6))]


@pytest.mark.parametrize(
    "box",
    [[3.0, 3.0, 3.0, 5.0], [5.0, 5.0, 2.0, 2.0], [9.0, 1.0, 12.0, 2.0], [-9.0, 0.0, -5.0, 2.0]],
)
def test_the_window_of_an_empty_or_distant_box_is_empty(box):
    (window,) = windows(np.float32([box]), (6, 6))

    assert paste(np.ones((2, 2), np.float32), box, window).size == 0


def test_no_boxes_have_no_windows():
    assert windows(np.zeros((0, 4), np.float32), (6, 6)) == []


def test_a_mask_pasted_at_its_own_size_is_itself():
    mask = np.random.default_rng(0).uniform(size=(5, 5)).astype(np.float32)
    box = [2.0, 3.0, 7.0, 8.0]
    (window,) = windows(np.float32([box]), (10, 10))

    assert np.array_equal(paste(mask, box, window), mask)


def test_a_mask_is_interpolated_between_the_centres_of_its_cells():
    box = [0.0, 0.0, 4.0, 2.0]
    (window,) = windows(np.float32([box]), (2, 4))

    pasted = paste(np.float32([[0, 1], [0, 1]]), box, window)

    assert pasted.tolist() == [[0.0, 0.25, 0.75, 0.75]] * 2


def test_pasting_equals_sampling_a_grid_with_zeros_around_it():
    rng = torch.Generator().manual_seed(0)
    mask, box = torch.rand(28, 28, generator=rng), [3.3, -2.2, 60.1, 71.7]
    (window,) = windows(np.float32([box]), (50, 70))
    y, x = (torch.arange(s.start, s.stop) + 0.5 for s in window)
    y = (y - box[1]) / (box[3] - box[1]) * 2 - 1
    x = (x - box[0]) / (box[2] - box[0]) * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)

    expected = F.grid_sample(mask[None, None], grid[None], align_corners=False)

    pasted = paste(mask.numpy(), box, window)
    np.testing.assert_allclose(pasted, expected[0, 0].numpy(), rtol=1.3e-6, atol=1e-5)


def test_a_mask_that_is_pasted_in_strips_is_the_same_to_the_last_bit(monkeypatch):
    monkeypatch.setattr(raster, "_STRIP_PASTED", 1 << 12)
    generator = np.random.default_rng(0)
    for side in (14, 28, 56):
        mask = generator.random((side, side), np.float32)
        box = [3.7, 5.2, 400.1, 611.9]
        window = windows(np.array([box], np.float32), (700, 380))[0]

        pieces = list(raster.paste_in_strips(mask, box, window))

        assert len(pieces) > 2
        assert [piece[0][0].start for piece in pieces[1:]] == [
            piece[0][0].stop for piece in pieces[:-1]
        ]
        whole = np.concatenate([values for _, values in pieces])
        assert np.array_equal(whole, paste(mask, box, window))
