"""Segment an image and draw the result.

python examples/predict_and_draw.py photo.jpg drawn.jpg
"""

import sys
from pathlib import Path

import jsisnet
from jsisnet.files import write_picture

photo, out = sys.argv[1:]
predictor = jsisnet.Predictor.load("coco", min_score=0.5)

result = predictor(photo)

panoptic = result.panoptic
print(panoptic)
for segment, area in zip(panoptic.segments, panoptic.areas().tolist(), strict=True):
    name = predictor.categories[segment.label].name
    score = "" if segment.score is None else f"score {segment.score:.2f}"
    print(f"{name:20} {area:9,} pixels  {score}")
write_picture(jsisnet.draw(result.image, panoptic, predictor.categories), Path(out))
