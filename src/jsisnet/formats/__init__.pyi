from jsisnet.formats.dataset import DataConfig, PanopticDataset, Sample
from jsisnet.formats.open import DatasetLocation, Format, create_dataset, open_dataset
from jsisnet.formats.records import Record, Source, Target

__all__ = [
    "DataConfig",
    "DatasetLocation",
    "Format",
    "PanopticDataset",
    "Record",
    "Sample",
    "Source",
    "Target",
    "create_dataset",
    "open_dataset",
]
