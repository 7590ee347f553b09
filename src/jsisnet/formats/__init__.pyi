from jsisnet.formats.records import Record, Source, Target

__all__ = ["Record", "Source", "Target"]
