from fractions import Fraction

import pytest

from jsisnet.splitting.shares import parsed, sizes


@pytest.mark.parametrize(
    ("texts", "images", "expected"),
    [
        (["train=0.8", "val=0.2"], 10, (8, 2)),
        (["a=0.1", "b=0.2", "c=0.7"], 10, (1, 2, 7)),
        (["a=1/3", "b=1/3", "c=1/3"], 10, (4, 3, 3)),
        (["a=.5", "b=.5"], 3, (2, 1)),
        (["train=rest", "val=500"], 1200, (700, 500)),
        (["train=0.9", "val=rest"], 20, (18, 2)),
        (["a=3", "b=4"], 7, (3, 4)),
        (["all=1.0"], 5, (5,)),
        (["all=rest"], 5, (5,)),
    ],
)
def test_shares_become_numbers_of_images(texts, images, expected):
    assert sizes(parsed(texts), images) == expected


def test_fractions_are_exact():
    assert parsed(["a=0.1", "b=0.9"])[0].amount == Fraction(1, 10)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([], "there are no parts"),
        (["train"], "expected a name and a share"),
        (["../x=0.5", "b=0.5"], "the name of a part is '../x'"),
        (["a/b=1.0"], "the name of a part is 'a/b'"),
        (["a.json=1.0"], "the name of a part is 'a.json'"),
        (["-a=1.0"], "the name of a part is '-a'"),
        (["=1.0"], "the name of a part is ''"),
        ([f"{'x' * 51}=1.0"], "expected up to 50 letters"),
        (["CON=1.0"], "a folder on any system"),
        (["lpt1=1.0"], "a folder on any system"),
        (["a=0.5", "A=0.5"], "the part 'A' is there twice"),
        (["a=0.5", "b=0.6"], "the fractions add up to 1.1, expected 1"),
        (["a=0.5", "b=0.4"], "the fractions add up to 0.9, expected 1"),
        (["a=0.5", "b=0.6", "c=rest"], "the fractions add up to 1.1"),
        (["a=rest", "b=rest"], "two parts are to get the rest"),
        (["a=0.5", "b=5"], "both fractions and counts"),
        (["a=nan"], "the share of 'a' is 'nan'"),
        (["a=-1"], "the share of 'a' is '-1'"),
        (["a=1/0"], "the share of 'a' is '1/0'"),
        (["a=0"], "the share of 'a' is '0'"),
        (["a=1e9999999"], "the share of 'a' is '1e9999999'"),
    ],
)
def test_what_is_no_share_is_one_sentence(texts, reason):
    with pytest.raises(ValueError, match=reason.replace(".", r"\.").replace("/", r"\/")):
        parsed(texts)


@pytest.mark.parametrize(
    ("texts", "images", "reason"),
    [
        (["a=0.5", "b=0.5"], 1, "the part 'b' would get none of the 1 images"),
        (["a=0.01", "b=0.99"], 10, "the part 'a' would get none of the 10 images"),
        (["a=0.0", "b=1.0"], 10, "the part 'a' would get none"),
        (["a=3", "b=3"], 7, "6 images in all, expected the 7"),
        (["a=9", "b=rest"], 7, "the part 'b' would get none"),
        (["a=8"], 7, "8 images in all, expected the 7"),
    ],
)
def test_shares_that_do_not_fit_are_refused(texts, images, reason):
    with pytest.raises(ValueError, match=reason):
        sizes(parsed(texts), images)
