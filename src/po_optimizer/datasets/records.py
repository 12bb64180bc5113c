"""Records as catalog entries that kedro-viz shows as tables."""

import json
from collections.abc import Mapping
from typing import Any

from kedro_datasets._typing import TablePreview

from po_optimizer.datasets.whole_file import WholeJSONDataset, WholeTextDataset

_CELL_CHARACTERS = 300


class RecordsDataset(WholeJSONDataset):
    """A JSON list of records, replaced whole or not at all."""

    def preview(self, num_records: int = 20) -> TablePreview:
        """The first records, a column for each field."""
        return table(json.loads(self._stored_text() or "[]")[:num_records])


class RecordLinesDataset(WholeTextDataset):
    """The text of a JSON Lines file."""

    _max_bytes = 2 * 2**30

    def preview(self, num_records: int = 20) -> TablePreview:
        """The first records, a column for each field; unreadable lines as text."""
        text = self._stored_text() or ""
        lines = [line for line in text.splitlines() if line.strip()]
        return table([_parsed(line) for line in lines[:num_records]])


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return {"unreadable": line}


def table(records: list[Any]) -> TablePreview:
    """What kedro-viz shows of the records, nested fields as dotted columns."""
    flat = [_flat(record) for record in records]
    columns = list(dict.fromkeys(name for record in flat for name in record))
    data = [[record.get(name, "") for name in columns] for record in flat]
    return TablePreview(
        {"index": list(range(len(data))), "columns": columns, "data": data}
    )


def _flat(value: Any, name: str = "") -> dict[str, str]:
    if not isinstance(value, Mapping):
        text = (
            value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        )
        return {name or "record": text[:_CELL_CHARACTERS]}
    cells: dict[str, str] = {}
    for key, inner in value.items():
        cells |= _flat(inner, f"{name}.{key}" if name else str(key))
    return cells
