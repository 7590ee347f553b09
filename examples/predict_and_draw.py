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

print(result)
for segment in result:
    score = "" if segment.score is None else f"score {segment.score:.2f}"
    print(f"{segment.name:20} {segment.area:9,} pixels  {score}")
write_picture(result.draw(), Path(out))
