"""Wrong values in programs: each is refused with one sentence, without a type checker's help.

The tests check the types of arguments, so a program of its own passes the wrong ones.
"""

import subprocess
import sys

import pytest

from jsisnet.checks import check_choice
from jsisnet.cli.app import run

SETUP = """
import numpy as np
import jsisnet
from jsisnet.inference import Instances, KirillovConfig, MergeConfig
from jsisnet.inference.merge import merge

IMAGE = np.zeros((1, 2, 3), np.uint8)
CAR = jsisnet.Segment(label=0, isthing=True)
MAP = jsisnet.PanopticMap(np.ones((1, 2), np.int32), (CAR,))
NONE = jsisnet.Categories(())
ONE = dict(
    boxes=np.float32([[0, 0, 2, 2]]), labels=np.array([0]), scores=np.float32([0.9]),
    masks=np.ones((1, 2, 2), np.float32),
)
LOGITS = np.zeros((2, 2, 2), np.float32)

def merged(semantic=LOGITS, frame=(2, 2), size=(2, 2), **changes):
    config = MergeConfig(min_stuff_area=1)
    instances = Instances(**ONE | changes)
    return merge(instances, semantic, frame=frame, size=size, stuff_labels=(1,), config=config)
"""

CALLS = {
    'jsisnet.score("a.json", "a.json", mode="officials")': "mode is 'officials'. Did you mean 'off",
    'jsisnet.score("a.json", "a.json", missing="ignore")': "missing is 'ignore'. Choices: error, ",
    "jsisnet.open_dataset(None)": "No format named None. Formats: coco, ",
    'jsisnet.open_dataset("coco", annotation="a")': "option is 'annotation'. Did you mean 'annot",
    'jsisnet.open_dataset("coco", annotations=3)': "annotations is 3; expected a path",
    'jsisnet.open_dataset("two-channel", pngs=".", categories="a", void="3")': (
        "void is '3'; expected integers"
    ),
    'jsisnet.open_dataset("vistas", root=".", split="val", version="3")': (
        "version is '3'. Choices: 1.2, 2.0, None."
    ),
    "jsisnet.PanopticMap([[0]], ())": "ids are of type list; expected a NumPy array",
    "jsisnet.PanopticMap.compact(np.full((1, 1), 2), [CAR])": "with 1 segments are 2 to 2",
    "jsisnet.PanopticMap.compact(np.full((1, 1), -1), [CAR])": "with 1 segments are -1 to -1",
    "jsisnet.PanopticMap.compact(np.ones((1, 1)), [CAR])": "ids are float64; expected integers",
    "jsisnet.draw(None, MAP, NONE)": "the image is of type NoneType; expected a NumPy array",
    "jsisnet.draw(IMAGE / 255, MAP, NONE)": "the image is float64 of shape (1, 2, 3); expected u",
    "jsisnet.draw(IMAGE[..., 0], MAP, NONE)": "the image is uint8 of shape (1, 2); expected uint",
    "jsisnet.draw(IMAGE, MAP, NONE)": "a segment has label 0; expected a label of the 0 cat",
    'MergeConfig(owner="scores")': "owner is 'scores'. Did you mean 'score'? Choices: probab",
    'MergeConfig(canvas="image")': "canvas is 'image'. Choices: network, original.",
    "MergeConfig(min_mask=float('nan'))": "min_mask is nan; expected a finite number",
    "MergeConfig(min_stuff_area=float('inf'))": "min_stuff_area is inf; expected a finite number",
    "MergeConfig(min_visible_fraction=1.5)": "min_visible_fraction is 1.5; expected a number from",
    "KirillovConfig(min_score=-1)": "min_score is -1; expected a number from 0 to 1",
    "KirillovConfig(max_overlap=None)": "max_overlap is None; expected a finite number",
    "merged(size=(0, 2))": "an image of (0, 2) in a frame of (2, 2) has no pixels to merge",
    "merged(frame=(2, 0))": "an image of (2, 2) in a frame of (2, 0) has no pixels to merge",
    "merged(np.zeros((2, 2), np.int32))": "the semantic branch has labels; expected logits, lab",
    "merged(np.zeros((2, 0, 0)))": "the semantic logits have shape (2, 0, 0); expected labels x",
    "merged(np.full((2, 2, 2), 1e300))": "the semantic logits to merge reach 1e+300; expected at",
    "merged(boxes=np.array([[0, 0, 1e300, 1]]))": "the boxes to merge reach 1e+300",
    "merged(boxes=np.zeros((2, 4)))": "boxes of 1 instances have shape (2, 4); expected (1, 4)",
    "merged(scores=np.ones(2))": "scores of 1 instances have shape (2,); expected (1,)",
    "merged(masks=np.ones((1, 2, 3)))": "masks of 1 instances have shape (1, 2, 3); expected (1,",
}


@pytest.mark.slow
def test_a_wrong_value_is_refused_with_one_sentence():
    attempts = "\n".join(
        f"try:\n    {call}\nexcept ValueError as error:\n    print(error)\nelse:\n    print()"
        for call in CALLS
    )

    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", SETUP + attempts],
        check=True,
        capture_output=True,
        text=True,
    )

    found = dict(zip(CALLS, result.stdout.splitlines(), strict=True))
    assert {call: line for call, line in found.items() if CALLS[call] not in line} == {}


def test_the_nearest_choice_is_suggested():
    with pytest.raises(ValueError, match=r"mode is 'stric'. Did you mean 'strict'\? Choices: offi"):
        check_choice("mode", "stric", ("official", "strict"))


def test_a_misspelt_command_is_named_without_importing_the_others():
    program = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from jsisnet.cli.app import run\n"
        "sys.exit(run(['describes']))"
    )

    result = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )

    assert result.returncode == 2
    assert result.stderr.startswith('jsisnet: No command named "describes". Did you mean describe?')


def test_a_run_that_was_killed_at_once_can_be_rerun(tmp_path):
    (tmp_path / ".jsisnet.lock").touch()
    (tmp_path / ".jsisnet-12345678.part").touch()

    assert run(["data", "generate", "--out", str(tmp_path), "--train", "1", "--val", "1"]) == 0
