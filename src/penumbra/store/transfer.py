"""The whole store as a folder of Parquet files with a manifest, and back: for a back-up, or to move to another catalog."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penumbra.base.project import part_of
from penumbra.base.refusal import Refusal
from penumbra.base.whole_files import whole_folder
from penumbra.store.features import FEATURE_KINDS, add_columns
from penumbra.store.lake import patiently
from penumbra.store.migrating import migrated_to, migrations
from penumbra.store.relations import RELATIONS
from penumbra.store.statements import literal, quoted, statement
from penumbra.store.version import sha256

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from penumbra.store.session import Store

MANIFEST = "manifest.json"
FORMAT = 1
ROWS = 2048  # in a batch: 22 MB of radiomics
STORED = ("commits", *RELATIONS)


@dataclass(frozen=True)
class Export:
    """The summary of an exported store in its manifest.

    Parameters
    ----------
    digest
        Over the content of every table, the same for the same rows in whatever catalog.
    commits
        How many.
    rows
        Table -> how many.
    """

    digest: str
    commits: int
    rows: dict[str, int]


def export_store(store: "Store", folder: Path) -> Export:
    """Write every stored row of every commit into a new folder, all as of one moment; whole or not at all.

    Parameters
    ----------
    store
        Open, from `connect`.
    folder
        New or empty.

    Returns
    -------
    Export
        What the manifest says.

    Raises
    ------
    Refusal
        "export_folder": `... is not empty. Name a new folder.`

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.store import connect, export_store
    >>> with connect("home", read_only=True) as lake:
    ...     export = export_store(lake, Path("exported"))
    >>> export.commits, export.rows["patients"]
    (4, 2)
    """
    import pyarrow.parquet as pq

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refusal("export_folder", f"{folder} is not empty", "name a new folder")

    def write(draft: Path) -> dict[str, dict[str, Any]]:
        connection = store.connection
        connection.execute("BEGIN TRANSACTION")  # one snapshot for all tables
        try:
            tables: dict[str, dict[str, Any]] = {}
            for table in STORED:
                file, content, rows = draft / f"{table}.parquet", _Content(), 0
                reader = _stored(connection, table)
                with pq.ParquetWriter(file, reader.schema, compression="zstd") as writer:
                    for batch in reader:
                        writer.write_batch(batch)
                        content.add(batch)
                        rows += batch.num_rows
                tables[table] = {"file": file.name, "rows": rows, "sha256": _file_sha256(file), "content": content.digest()}
            return tables
        finally:
            connection.execute("ROLLBACK")

    with whole_folder(folder) as draft:
        tables = patiently(partial(write, draft))
        export = _summary(tables)
        manifest = {"format": FORMAT, "schema": migrated_to(store.connection), "digest": export.digest, "commits": export.commits, "tables": tables}
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return export


def import_store(store: "Store", folder: Path) -> Export:
    """Fill an empty store from an export, in one transaction; what was stored is read again and compared before it is kept.

    An export of an earlier schema is compared as it was written, and brought to today's afterwards.

    Parameters
    ----------
    store
        Empty and open to write, from `connect`.
    folder
        That `export_store` wrote.

    Returns
    -------
    Export
        What the manifest says.

    Raises
    ------
    Refusal
        "export_manifest": `no manifest.json in ... ...`; "export_unchanged": a file is missing or altered; "schema_newer": `the export has schema 9, this
        program knows 8. ...`; "store_empty": `the store has 3 commits already. ...`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.store import connect, export_store, import_store
    >>> with connect("home", read_only=True) as lake:
    ...     exported = export_store(lake, Path("exported"))
    >>> with connect("moved") as lake:
    ...     import_store(lake, Path("exported")).digest == exported.digest
    True
    """
    manifest = _read_manifest(folder)
    for table, entry in manifest["tables"].items():
        if table not in STORED or _file_sha256(folder / entry["file"]) != entry["sha256"]:
            raise Refusal("export_unchanged", f"{entry['file']} is not the file that was exported", "copy the export again, whole")
    reached = migrated_to(store.connection)
    if manifest["schema"] > reached:
        raise Refusal("schema_newer", f"the export has schema {manifest['schema']}, this program knows {reached}", "update penumbra")
    if store.newest_commit():
        raise Refusal("store_empty", f"the store has {store.newest_commit()} commits already", "import into a new PENUMBRA_HOME or database")

    def work(connection: "duckdb.DuckDBPyConnection") -> dict[str, dict[str, Any]]:
        newest = connection.execute("SELECT count(*) FROM lake.commits").fetchone()
        if newest and newest[0]:
            raise Refusal("store_empty", "somebody wrote to the store meanwhile", "import into a new PENUMBRA_HOME or database")
        imported = {}
        for table, entry in manifest["tables"].items():
            source = f"read_parquet({literal(str(folder / entry['file']))})"
            exported = [str(row[0]) for row in connection.execute(f"DESCRIBE FROM {source}").fetchall()]
            if table in FEATURE_KINDS:
                add_columns(connection, table, exported)
            connection.execute(statement("delete_all", relation=table))  # the slots that the schema begins with
            connection.execute(statement("import_rows", relation=table, source=source))
            content, rows = _Content(), 0
            for batch in _stored(connection, table, exported if manifest["schema"] < reached else None):
                content.add(batch)
                rows += batch.num_rows
            imported[table] = {"rows": rows, "content": content.digest()}
            if (rows, imported[table]["content"]) != (entry["rows"], entry["content"]):
                raise Refusal("export_unchanged", f"{table} holds other rows after the import than the export says", "report this; nothing was kept")
        for changed in changes_of_rows(part_of(store.views.features, "schema"), manifest["schema"]):
            connection.execute(changed)
        return imported

    imported = store.transact(work)
    store.compact()
    return _summary(imported)


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT or sha256({t: e["content"] for t, e in manifest["tables"].items()}) != manifest["digest"]:
            raise ValueError("its digest is not that of its tables")
    except FileNotFoundError:
        raise Refusal("export_manifest", f"no {MANIFEST} in {folder}", "name a folder that penumbra export wrote") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refusal("export_manifest", f"no whole export in {folder}: {error}", "name a folder that penumbra export wrote") from None
    return manifest


def _summary(tables: dict[str, dict[str, Any]]) -> Export:
    digest = sha256({table: entry["content"] for table, entry in tables.items()})
    return Export(digest, tables["commits"]["rows"], {table: entry["rows"] for table, entry in tables.items()})


def changes_of_rows(schema: Path, reached: int) -> list[str]:
    """What the migrations after one of a number do to rows that are there: an export of an earlier schema has rows as they were before."""
    texts = [re.sub(r"(?m)^--.*$", "", text) for number, _, text in migrations(schema) if number > reached]
    return [part.strip() for text in texts for part in re.split(r";\s*(?:\n|$)", text) if part.strip().startswith("UPDATE")]


def _stored(connection: "duckdb.DuckDBPyConnection", table: str, only: Sequence[str] | None = None) -> "pa.RecordBatchReader":
    """All rows of a stored table in one order and its columns by name, whatever the catalog and its history of files. only: of these columns."""
    columns = sorted(only or (str(row[0]) for row in connection.execute(statement("stored_columns", relation=table)).fetchall()))
    order = ["id"] if table == "commits" else _order(RELATIONS[table].key, columns)
    names = ", ".join(quoted(column) for column in columns)
    query = statement("export_rows", relation=table, columns=names, order=", ".join(quoted(column) for column in order))
    return connection.execute(query).to_arrow_reader(ROWS)


def _order(key: tuple[str, ...], columns: Sequence[str]) -> list[str]:
    """A center at the end of a key comes behind the commit, as it was exported when keys had none."""
    last = key[-1:] if len(key) > 1 and key[-1] == "center" else ()
    return [*(key[:-1] if last else key), "commit_id", *last, *[column for column in ("rule", "found") if column in columns and column not in key]]


class _Content:
    """SHA-256 over values column by column, the same however rows come in batches and whatever file format held them."""

    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {}

    def add(self, batch: "pa.RecordBatch") -> None:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for depth, part in enumerate(_parts(column)):
                parts = self.columns.setdefault(name, [])
                if depth == len(parts):
                    parts.append(hashlib.sha256())
                parts[depth].update(part)

    def digest(self) -> str:
        return sha256({name: [part.hexdigest() for part in parts] for name, parts in self.columns.items()})


def _parts(column: "pa.Array") -> Iterator[bytes]:
    """Which values are there, their lengths where they have any, and the values; numbers little-endian, every NaN the same."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = column.is_null().to_numpy(zero_copy_only=False)
    kind = column.type
    if pa.types.is_list(kind):
        lengths = pc.list_value_length(column).fill_null(-1).to_numpy(zero_copy_only=False)
        yield lengths.astype("<i8").tobytes()
        yield from _parts(column.flatten())
    elif pa.types.is_string(kind):
        yield pc.binary_length(column).fill_null(-1).to_numpy(zero_copy_only=False).astype("<i8").tobytes()
        yield "".join(text for text in column.to_pylist() if text is not None).encode()
    elif pa.types.is_floating(kind):
        values = column.to_numpy(zero_copy_only=False).astype("<f8")
        yield np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes()
    else:
        whole = column.cast(pa.int64()) if not pa.types.is_boolean(kind) else column.cast(pa.int8()).cast(pa.int64())
        yield missing.tobytes()
        yield whole.fill_null(0).to_numpy(zero_copy_only=False).astype("<i8").tobytes()


def _file_sha256(file: Path) -> str:
    if not file.is_file():
        raise Refusal("export_unchanged", f"{file.name} is missing", "copy the export again, whole")
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
