"""Train a network on your own images and COCO panoptic annotations, then use it.

python examples/train_on_own_data.py data runs/mine

The folder `data` holds train/, panoptic_train.json and panoptic_train/ with the PNGs, and the same
for val; `jsisnet data generate --out data` writes such a folder.
"""

import sys
from pathlib import Path

import jsisnet

data, out, steps = (*sys.argv[1:], "600")[:3]

run = jsisnet.train(
    "tiny.yaml",
    out=out,
    root=data,
    train={"steps": int(steps), "evaluate_every": int(steps)},
    optim={"lr": 0.002},
)

predictor = jsisnet.Predictor.load(run)
for photo in sorted(Path(data, "val").iterdir()):
    print(photo.name, predictor(photo).panoptic)
