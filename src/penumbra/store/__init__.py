"""The feature store: every value by key and version, as of any commit, for programs and for SQL."""

from typing import TYPE_CHECKING, Any

from penumbra.store.version import canonical_json, sha256, version_key

if TYPE_CHECKING:
    from penumbra.store.answer import first_rows, for_format, query
    from penumbra.store.features import FEATURE_KINDS, declare_version, missing, write_features
    from penumbra.store.forgetting import Traces, forget, purge, traces, unfinished
    from penumbra.store.matrix import Matrix, matrix_parts, read_matrix
    from penumbra.store.moments import commit_of
    from penumbra.store.proof import check, digest
    from penumbra.store.session import Store, connect, require
    from penumbra.store.transfer import Export, export_store, import_store

__all__ = [
    "FEATURE_KINDS",
    "Export",
    "Matrix",
    "Store",
    "Traces",
    "canonical_json",
    "check",
    "commit_of",
    "connect",
    "declare_version",
    "digest",
    "export_store",
    "first_rows",
    "for_format",
    "forget",
    "import_store",
    "matrix_parts",
    "missing",
    "purge",
    "query",
    "read_matrix",
    "require",
    "sha256",
    "traces",
    "unfinished",
    "version_key",
    "write_features",
]

_HOMES = {
    "features": ("FEATURE_KINDS", "declare_version", "missing", "write_features"),
    "forgetting": ("Traces", "forget", "purge", "traces", "unfinished"),
    "matrix": ("Matrix", "matrix_parts", "read_matrix"),
    "moments": ("commit_of",),
    "proof": ("check", "digest"),
    "answer": ("first_rows", "for_format", "query"),
    "session": ("Store", "connect", "require"),
    "transfer": ("Export", "export_store", "import_store"),
}


def __getattr__(name: str) -> Any:
    import importlib

    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"penumbra.store.{module}"), name)
    raise AttributeError(f"module 'penumbra.store' has no attribute {name!r}")
