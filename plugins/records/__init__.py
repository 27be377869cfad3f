"""The records plugin: typed queries over tables, planned against the catalogue and run as one statement."""

from plugins.records.plugin import RecordsPlugin

__all__ = ["RecordsPlugin"]
