"""Measure predictions against ground truth, both COCO panoptic JSON files with their PNGs.

python examples/score_two_files.py truth.json predictions.json
"""

import sys

import jsisnet

truth, predictions = sys.argv[1:]

score = jsisnet.score(truth, predictions, missing="void", boundary=True)

print(score)
for name, labels in {
    "things": score.categories.thing_labels,
    "stuff": score.categories.stuff_labels,
}.items():
    mean = score.quality.mean(labels)
    print(f"{name:20} PQ {mean.pq:.1%}  SQ {mean.sq:.1%}  RQ {mean.rq:.1%}")

quality = score.quality
for label, category in enumerate(score.categories):
    counts = f"tp {quality.tp[label]}  fp {quality.fp[label]}  fn {quality.fn[label]}"
    print(f"{category.name:20} PQ {quality.pq[label]:.1%}  {counts}")

worst = min(score.images, key=lambda image: image.pq if image.pq is not None else 1.0)
print(f"lowest PQ: image {worst.image_id!r}, {worst.mean.pq:.1%}")
