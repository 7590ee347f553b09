from jsisnet.formats.open import DatasetLocation, Format, create_dataset, open_dataset
from jsisnet.formats.records import Record, Source, Target

__all__ = [
    "DatasetLocation",
    "Format",
    "Record",
    "Source",
    "Target",
    "create_dataset",
    "open_dataset",
]
