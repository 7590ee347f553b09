"""Measure panoptic quality while another network trains, here a small semantic one.

python examples/metric_in_another_trainer.py data/panoptic_train.json data/train 20
"""

import sys

import torch
from torch import nn

import jsisnet

annotations, images, epochs = sys.argv[1:]
source = jsisnet.open_dataset("coco", annotations=annotations, images=images)
maps = [record.read() for record in source.records]
pixels = torch.tensor([jsisnet.read_image(record.image).tolist() for record in source.records])
labels = torch.tensor([panoptic.labels().tolist() for panoptic in maps])
instances = torch.tensor([panoptic.ids.tolist() for panoptic in maps])

classes = len(source.categories)
network = nn.Sequential(nn.Conv2d(3, 32, 5, padding=2), nn.ReLU(), nn.Conv2d(32, classes, 1))
optimizer = torch.optim.AdamW(network.parameters(), lr=0.02)
metric = jsisnet.PanopticQualityMetric(
    things=source.categories.thing_labels, stuffs=source.categories.stuff_labels
)
for epoch in range(int(epochs)):
    logits = network(pixels.permute(0, 3, 1, 2) / 255)
    loss = nn.functional.cross_entropy(logits, labels, ignore_index=255)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    predicted = logits.argmax(1)
    metric.reset()
    metric.update(  # category and instance number of each pixel; one instance per class here
        torch.stack([predicted, torch.zeros_like(predicted)], -1),
        torch.stack([labels, instances], -1),
    )
    print(f"epoch {epoch}: loss {loss.item():.3f}, PQ {metric.compute()['pq'].item():.1%}")
