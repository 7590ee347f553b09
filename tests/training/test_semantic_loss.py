"""The strips of the semantic loss against the whole maps of PyTorch's."""

import math

import pytest
import torch
from torch.nn import functional

from jsisnet.data.sample import is_void
from jsisnet.panoptic import IGNORE
from jsisnet.training import semantic_loss as module
from jsisnet.training.semantic_loss import semantic_loss


def whole(logits, labels):
    full = functional.interpolate(logits.float(), labels.shape[-2:], mode="bilinear")
    return functional.cross_entropy(full, labels.long(), ignore_index=IGNORE, reduction="sum")


def made(shape, size, *, void=0.2):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator) * 5
    labels = torch.randint(shape[1], (shape[0], *size), generator=generator, dtype=torch.uint8)
    labels[torch.rand(labels.shape, generator=generator) < void] = IGNORE
    return logits, labels


def with_gradient(loss, logits, labels):
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, labels)
    (3 * value).backward()
    return value.detach(), leaf.grad


def test_the_loss_is_summed_over_the_labelled_pixels():
    logits = torch.zeros(2, 2, 1, 2)
    logits[1, 1] = math.log(3)
    labels = torch.tensor([[[0, IGNORE]], [[0, 1]]], dtype=torch.uint8)

    loss = semantic_loss(logits, labels)

    assert loss.item() == pytest.approx(math.log(2) + math.log(4) + math.log(4 / 3))


def test_logits_are_resized_to_the_labels():
    logits = torch.randn(1, 3, 4, 6)
    labels = torch.randint(3, (1, 16, 24), dtype=torch.uint8)

    full = functional.interpolate(logits, (16, 24), mode="bilinear", align_corners=False)

    torch.testing.assert_close(
        semantic_loss(logits, labels),
        functional.cross_entropy(full, labels.long(), reduction="sum"),
    )


def test_without_a_labelled_pixel_the_loss_is_zero():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)

    loss = semantic_loss(logits, torch.full((1, 8, 8), IGNORE, dtype=torch.uint8))
    loss.backward()

    assert loss == 0
    assert logits.grad.abs().max() == 0


@pytest.mark.parametrize("strip", [1, 300, 1 << 20])
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((2, 5, 8, 12), (32, 48)),
        ((1, 3, 7, 5), (29, 18)),
        ((2, 4, 6, 6), (6, 6)),
        ((1, 2, 9, 9), (4, 5)),
        ((1, 1, 1, 1), (1, 1)),
        ((1, 3, 1, 4), (9, 16)),
    ],
)
def test_strips_equal_the_loss_and_gradient_of_the_whole_image(strip, shape, size, monkeypatch):
    monkeypatch.setitem(module._STRIP, "cpu", strip)
    logits, labels = made(shape, size)

    loss, gradient = with_gradient(semantic_loss, logits, labels)

    expected, slopes = with_gradient(whole, logits, labels)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(gradient, slopes, rtol=1e-4, atol=1e-5)


def test_extreme_logits_do_not_overflow():
    logits, labels = made((1, 3, 4, 4), (16, 16))
    logits *= 1e4

    loss, gradient = with_gradient(semantic_loss, logits, labels)

    expected, slopes = with_gradient(whole, logits, labels)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, slopes)


def test_without_a_labelled_pixel_the_gradient_is_zero():
    logits, labels = made((1, 3, 2, 2), (8, 8), void=1.1)

    loss, gradient = with_gradient(semantic_loss, logits, labels)

    assert loss == 0
    assert not gradient.any()


def test_a_loss_that_is_not_finite_stays_so():
    logits, labels = made((1, 3, 2, 2), (8, 8), void=0)
    logits[0, 0, 0, 0] = torch.nan

    assert semantic_loss(logits, labels).isnan()


@pytest.mark.parametrize("label", [3, IGNORE - 1])
def test_a_label_out_of_range_is_refused(label):
    logits, labels = made((1, 3, 4, 4), (16, 16))
    labels[0, 5, 5] = label

    with pytest.raises(RuntimeError, match="out of bounds"):
        semantic_loss(logits, labels)


def test_as_many_classes_as_there_are_labels():
    logits, labels = made((1, 255, 3, 2), (11, 7))
    labels[0, 0, 0] = IGNORE - 1

    loss, gradient = with_gradient(semantic_loss, logits, labels)

    expected, slopes = with_gradient(whole, logits, labels)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, slopes)


def test_the_order_in_memory_does_not_matter():
    logits, labels = made((2, 3, 4, 6), (9, 14))
    turned = logits.to(memory_format=torch.channels_last)
    crosswise = labels.mT.contiguous().mT

    loss, gradient = with_gradient(semantic_loss, turned, crosswise)

    expected, slopes = with_gradient(semantic_loss, logits, labels)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, slopes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_loss_is_computed_in_single_precision_and_the_gradient_is_cast_back(dtype):
    logits, labels = made((1, 3, 4, 4), (16, 16))
    half = logits.to(dtype)

    with torch.autocast("cpu", torch.bfloat16):
        loss, gradient = with_gradient(semantic_loss, half, labels)

    expected, slopes = with_gradient(whole, half.float(), labels)
    torch.testing.assert_close(loss, expected)
    assert gradient.dtype == dtype
    torch.testing.assert_close(gradient.float(), slopes, rtol=1e-2, atol=1e-2)


def test_no_gradient_is_computed_if_none_is_needed():
    logits, labels = made((1, 3, 4, 4), (16, 16))

    with torch.no_grad():
        loss = semantic_loss(logits.requires_grad_(), labels)

    assert not loss.requires_grad
    torch.testing.assert_close(loss, whole(logits, labels).detach())


def test_weighted_classes_agree_with_torch():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 3, 4, 5, generator=generator, requires_grad=True)
    labels = torch.randint(0, 4, (2, 8, 10), generator=generator).to(torch.uint8)
    labels[labels == 3] = IGNORE
    weights = torch.tensor([0.5, 1.0, 4.0])
    resized = functional.interpolate(logits, (8, 10), mode="bilinear")
    theirs = functional.cross_entropy(
        resized, labels.long(), weights, ignore_index=IGNORE, reduction="sum"
    )
    (expected,) = torch.autograd.grad(theirs, logits)

    ours = semantic_loss(logits, labels, weights)
    (gradient,) = torch.autograd.grad(ours, logits)

    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)


def test_labels_of_16_bits_have_the_same_loss():
    logits, labels = made((1, 255, 3, 2), (11, 7))
    wide = torch.where(is_void(labels), 65535, labels.int()).to(torch.uint16)

    torch.testing.assert_close(semantic_loss(logits, wide), semantic_loss(logits, labels))


def test_the_space_that_images_share_keeps_them_apart():
    logits, labels = made((3, 4, 5, 6), (15, 20))
    labels[1] = IGNORE

    loss, gradient = with_gradient(semantic_loss, logits, labels)

    parts = [
        with_gradient(semantic_loss, one, truth)
        for one, truth in zip(logits.split(1), labels.split(1), strict=True)
    ]
    torch.testing.assert_close(loss, sum(value for value, _ in parts))
    torch.testing.assert_close(gradient, torch.cat([slopes for _, slopes in parts]))
