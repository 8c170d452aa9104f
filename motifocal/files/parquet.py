"""Write tables whose columns have descriptions: as Parquet, or as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from motifocal.files.atomic import replacing

Kind = Literal["string", "double", "int64", "bool", "list<string>", "list<int64>"]
#: Rows that are written at once: a table may have more than memory holds.
ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Column:
    """A column: its name, its type in Arrow's words, its unit, and what it holds in a sentence."""

    name: str
    kind: Kind
    unit: str
    definition: str


def columns_from(described: Mapping[str, Mapping[str, Any]]) -> tuple[Column, ...]:
    """Make columns of {name: {kind, unit, definition}}, as a TOML file has them."""
    return tuple(Column(name, **entries) for name, entries in described.items())


def write_rows(
    path: Path, columns: Sequence[Column], rows: Iterable[Mapping[str, Any]],
    about: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write rows to a .parquet or .jsonl file, whole or not at all.

    Only the values that columns name are written; what a row lacks is null. Parquet has unit and
    definition in the metadata of each column, and `about` as JSON in that of the schema, under the
    key "motifocal".
    """
    with replacing(path) as temporary:
        write = _write_parquet if path.suffix == ".parquet" else _write_jsonl
        write(temporary, columns, rows, about)


def _write_jsonl(
    path: Path, columns: Sequence[Column], rows: Iterable[Mapping[str, Any]],
    about: Mapping[str, Any],
) -> None:  # fmt: skip
    names = [column.name for column in columns]
    with path.open("w", encoding="utf-8", newline="") as file:
        for row in rows:
            file.write(json.dumps({name: row.get(name) for name in names}, allow_nan=False) + "\n")


def _write_parquet(
    path: Path, columns: Sequence[Column], rows: Iterable[Mapping[str, Any]],
    about: Mapping[str, Any],
) -> None:  # fmt: skip
    import pyarrow
    from pyarrow import parquet

    types = {"string": pyarrow.string(), "double": pyarrow.float64(), "int64": pyarrow.int64(),
             "bool": pyarrow.bool_(), "list<string>": pyarrow.list_(pyarrow.string()),
             "list<int64>": pyarrow.list_(pyarrow.int64())}  # fmt: skip
    fields = [pyarrow.field(column.name, types[column.kind], metadata={
        "unit": column.unit, "description": column.definition}) for column in columns]
    schema = pyarrow.schema(fields, metadata={"motifocal": json.dumps(about, sort_keys=True)})
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for some in _batches(rows):
            writer.write_table(pyarrow.Table.from_pylist(some, schema=schema))


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterable[list[Mapping[str, Any]]]:
    some: list[Mapping[str, Any]] = []
    for row in rows:
        some.append(row)
        if len(some) == ROWS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some
