"""Mean IoU of random maps equals that of hotcoco."""

import numpy as np
import pytest
from hotcoco.semantic import SemanticEval

from jsisnet.categories import Categories, Category
from jsisnet.evaluation.semantic_iou import SemanticIoU, count, summary
from jsisnet.panoptic import IGNORE

LABELS = 7


def test_the_mean_and_every_class_are_the_oracles():
    random = np.random.default_rng(0)
    oracle, total = SemanticEval(LABELS, ignore_index=IGNORE), SemanticIoU.zero(LABELS)
    for _ in range(20):
        size = random.integers(1, 30, 2)
        truth, prediction = random.integers(0, LABELS - 1, (2, *size), np.int32)
        prediction = np.where(random.random(size) < 0.6, truth, prediction)
        truth[random.random(size) < 0.1] = IGNORE
        oracle.update(truth, prediction)
        total += count(truth, prediction, LABELS)
    classes = [Category(id=i, name=str(i), isthing=False) for i in range(LABELS)]

    result = summary(total, Categories(tuple(classes)))

    expected = oracle.results()
    assert total.confusion.tolist() == oracle.confusion().tolist()
    assert not total.seen[-1]
    assert result["miou"] == pytest.approx(100 * expected["mIoU"], abs=1e-9)
    assert total.iou[:-1] == pytest.approx([row["IoU"] for row in expected["per_class"]][:-1])
