from jsisnet.formats.annotation_tools import ANNOTATION_FORMATS
from jsisnet.formats.dataset import DataConfig, PanopticDataset, Sample
from jsisnet.formats.open import DatasetLocation, Format, create_dataset, open_dataset
from jsisnet.formats.records import Record, Source, Target

__all__ = [
    "ANNOTATION_FORMATS",
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
