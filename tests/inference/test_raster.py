import pytest
import torch
import torch.nn.functional as F

from jsisnet.inference.raster import NO_CHANNEL, Upsampled


def smooth(channels=5, grid=(9, 11)):
    coarse = torch.randn(1, channels, 3, 3, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, size=grid, mode="bicubic")[0]


def everywhere(canvas):
    return torch.ones(canvas, dtype=torch.bool)


def resized(logits, canvas):
    return F.interpolate(logits[None], size=canvas, mode="bilinear")[0]


@pytest.mark.parametrize("canvas", [(36, 44), (40, 31), (9, 11), (5, 4), (1, 1), (400, 700)])
def test_the_best_channel_is_that_of_the_resized_logits(canvas):
    logits = smooth()

    best = Upsampled.to(canvas, logits).best(everywhere(canvas))

    assert torch.equal(best.long(), resized(logits, canvas).argmax(0))


def test_the_logits_at_a_pixel_are_those_of_the_resized_logits():
    logits = smooth()
    rows, columns = torch.tensor([0, 17, 35]), torch.tensor([43, 20, 0])

    values = Upsampled.to((36, 44), logits).at(rows, columns)

    torch.testing.assert_close(values, resized(logits, (36, 44))[:, rows, columns].T)


def test_pixels_that_nobody_wants_get_no_channel():
    wanted = everywhere((36, 44))
    wanted[::2] = False

    best = Upsampled.to((36, 44), smooth()).best(wanted)

    assert torch.equal(best == NO_CHANNEL, ~wanted)


def test_kept_channels_are_numbered_anew():
    logits = smooth()

    best = Upsampled.to((36, 44), logits).channels([1, 3]).best(everywhere((36, 44)))

    assert torch.equal(best.long(), resized(logits[[1, 3]], (36, 44)).argmax(0))


def test_probabilities_are_among_all_channels():
    logits, canvas = smooth() * 3, (36, 44)

    found = Upsampled.to(canvas, logits).exceeds(0.5, [1, 3], everywhere(canvas))

    probabilities = resized(logits, canvas).softmax(0)
    assert 0 < found.sum() < found.numel()
    assert torch.equal(found, (probabilities[[1, 3]] >= 0.5).any(0))
