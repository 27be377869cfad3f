"""The catalogue as others see it: without partitions, which are no relations of their own on PostgreSQL either."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue
from plugins.database.sqlite.catalogue.definitions import defined


class ShownCatalogues:
    """What is shown of catalogues; the last one is kept."""

    def __init__(self) -> None:
        self._last: tuple[Catalogue, Catalogue] | None = None

    def shown(self, catalogue: Catalogue) -> Catalogue:
        """Return a catalogue without its partitions."""
        last = self._last  # read once: another thread may put another in its place
        if last is not None and last[0] is catalogue:
            return last[1]
        tables = {key: one for key, one in catalogue.tables.items() if defined(one).partition is None}
        shown = catalogue
        if len(tables) < len(catalogue.tables):
            shown = msgspec.structs.replace(catalogue, tables=tables)
        self._last = (catalogue, shown)
        return shown
