"""Files on S3-compatible object storage: their address, its key, and the storage's errors in one sentence."""

import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from penumbra.base.params import files_uri
from penumbra.base.refusal import Refusal
from penumbra.base.whole_files import write_whole
from penumbra.store.statements import literal

if TYPE_CHECKING:
    import duckdb

ADDRESS_FILE = "files.uri"  # where the files are, when they are not in the folder next to this file; and the folder that wrote this
RULE = "files"
DEFAULT_REGION = "us-east-1"  # what a server of one's own takes
_ADDRESS = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*")
# How the engine words a fault of the storage: "HTTP GET error reading ... (HTTP 403 Forbidden)", "Unable to connect to URL ... (HTTP code 404)",
# "Could not connect to server error for HTTP PUT to ...", "Could not remove file ...: Forbidden"; then, in a line of its own, the storage's code:
# "NoSuchBucket: ..." (of several that could not be removed, its XML).
_FAULT = re.compile(r'HTTP \w+ error reading |Unable to connect to URL |error for HTTP \w+ to |Failed to remove files: <|Could not remove file "s3:')
_STATUS = re.compile(r"\(HTTP (?:code )?(\d{3})")
_CODE = re.compile(r"^(\w+): |<Code>(\w+)</Code>", re.MULTILINE)
_BUCKET = re.compile(r"s3://([a-z0-9.-]+)")


def configured_address() -> str | None:
    """The address that PENUMBRA_FILES gives, without a slash at its end; None: it is not set.

    Raises
    ------
    Refusal
        "files": it is no such address.
    """
    setting = files_uri()
    if setting is None:
        return None
    address = setting.strip().rstrip("/")
    if not _ADDRESS.fullmatch(address):
        fault = f"PENUMBRA_FILES is {_redacted(setting)!r}, not the address of object storage"
        raise Refusal(RULE, fault, "write s3://bucket/folder; key and server come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL")
    return address


def store_address(folder: Path, *, exists: bool) -> str | None:
    """Where the files of the store in `folder` are; None: next to it. A store is bound to what it was created with, also without the setting.

    A store that begins gets a folder of its own below PENUMBRA_FILES: what removes one store's files never meets another's.

    Parameters
    ----------
    exists
        There is a store already.

    Raises
    ------
    Refusal
        "files".
    """
    configured, recorded = configured_address(), remembered(folder)
    if configured is None or (recorded is not None and within(recorded, configured)):
        return recorded
    if exists:
        raise elsewhere(folder, recorded, configured)
    return f"{configured}/{uuid.uuid4().hex[:12]}"


def remembered(folder: Path) -> str | None:
    """The address that this folder's store keeps."""
    file = folder / ADDRESS_FILE
    return file.read_text(encoding="utf-8").split("\n")[0].strip() or None if file.is_file() else None


def remember(folder: Path, address: str) -> None:
    """Keep the address, which holds no key, and which folder it was."""
    text = f"{address}\n{folder.resolve()}\n"
    file = folder / ADDRESS_FILE
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        write_whole(file, text)


def refuse_copy(folder: Path) -> None:
    """A catalog that was copied is not a second store: whichever of the two removed a file would take it from the other.

    Raises
    ------
    Refusal
        "files": the folder it was copied from is still there.
    """
    file = folder / ADDRESS_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    origin = Path(lines[1]) if len(lines) > 1 else folder
    if origin.resolve() != folder.resolve() and remembered(origin) == lines[0]:
        fault = f"{folder} is a copy of {origin}, and both would change the same objects"
        raise Refusal(RULE, fault, "write to the first, and make a second store with penumbra export and import")


def within(address: str | None, configured: str) -> bool:
    """Whether `address` is where PENUMBRA_FILES says, or a store's folder right below."""
    return address is not None and configured in (address, address.rpartition("/")[0])


def elsewhere(folder: Path, current: str | None, configured: str) -> Refusal:
    """The sentence for a store that has its files in another place than PENUMBRA_FILES says."""
    fault = f"the store in {folder} has its files {f'at {current}' if current else 'in a folder of its own'}, not at {configured}"
    return Refusal(RULE, fault, "unset PENUMBRA_FILES, or move the store with penumbra export and import")


def catalog_address(connection: "duckdb.DuckDBPyConnection") -> str | None:
    """The address that the attached catalog has kept since it was made; None: a folder, wherever it is now."""
    row = connection.execute("SELECT value FROM __ducklake_metadata_lake.ducklake_metadata WHERE key = 'data_path' AND scope IS NULL").fetchone()
    path = str(row[0]) if row else ""
    return path.rstrip("/") if path.startswith("s3://") else None


def unlock(connection: "duckdb.DuckDBPyConnection", address: str) -> None:
    """Give the engine the key of the environment, for this address and as long as the connection lives; httpfs is loaded.

    Raises
    ------
    Refusal
        "files": no key, or a server's address that is none.
    """
    import duckdb

    options = {"KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID"), "SECRET": os.environ.get("AWS_SECRET_ACCESS_KEY")}
    if not all(options.values()):
        missing = " and ".join(name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not os.environ.get(name))
        raise Refusal(RULE, f"the store has its files at {address}, and there is no {missing}", "export the key of the object storage")
    options["SESSION_TOKEN"] = os.environ.get("AWS_SESSION_TOKEN")
    options["REGION"] = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    options["SCOPE"] = address + "/"
    secure = True
    if server := os.environ.get("AWS_ENDPOINT_URL"):
        secure, options["ENDPOINT"] = _server(server)
        options["URL_STYLE"] = "path"
    parameters = ", ".join(f"{name} {literal(value)}" for name, value in options.items() if value)
    # A server proves who it is, by the authorities of AWS_CA_BUNDLE where there is one.
    for setting in ("enable_curl_server_cert_verification", "enable_server_cert_verification"):
        connection.execute(f"SET {setting} = true")
    if bundle := os.environ.get("AWS_CA_BUNDLE"):
        connection.execute(f"SET ca_cert_file = {literal(bundle)}")
    try:
        connection.execute(f"CREATE OR REPLACE TEMPORARY SECRET files (TYPE s3, USE_SSL {str(secure).lower()}, {parameters})")
    except duckdb.Error:
        raise Refusal(RULE, "the engine does not take the key of the environment", "check the variables AWS_*") from None


def _server(url: str) -> tuple[bool, str]:
    """Whether to encrypt, and host:port."""
    try:
        parts = urlsplit(url.strip())
        if parts.scheme in ("http", "https") and parts.hostname and not (parts.username or parts.path.strip("/") or parts.query or parts.fragment):
            port = f":{parts.port}" if parts.port else ""
            return parts.scheme == "https", (f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname) + port
    except ValueError:
        pass
    raise Refusal(RULE, f"AWS_ENDPOINT_URL is {_redacted(url)!r}, not the address of a server", "write https://host:port")


def reach(connection: "duckdb.DuckDBPyConnection", address: str) -> None:
    """Ask the storage once, before a store begins there; a fault is the engine's own error."""
    connection.execute("SELECT count(*) FROM glob(?)", [f"{address}/*"]).fetchall()


def reached(error: BaseException) -> Refusal | None:
    """The sentence for a storage that does not answer, or not as it should; None for any other fault. Nothing of the storage's own words but its code."""
    text = str(error)
    if not _FAULT.search(text):
        return None
    status, code = ("".join(match.groups("")) if match else "" for match in (_STATUS.search(text), _CODE.search(text, text.find("\n") + 1)))
    bucket = _BUCKET.search(text)
    if code == "NoSuchBucket":
        return Refusal(RULE, f"the object storage has no bucket {bucket[1]}" if bucket else "the bucket is not there", "create it, or correct PENUMBRA_FILES")
    if status == "403" or text.endswith(": Forbidden") or code in ("ExpiredToken", "InvalidToken", "AccessDenied"):
        fault = f"the object storage refuses the key ({code or 'Forbidden'})"
        return Refusal(RULE, fault, "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and that this key may list, read, write and delete")
    if status in ("301", "307", "400"):
        return Refusal(RULE, f"the object storage does not take the request ({code or 'HTTP ' + status})", "check AWS_REGION and AWS_ENDPOINT_URL")
    if status == "404":
        return None  # an object that is not there is a damaged store
    reason = code or (f"HTTP {status}" if status else text.partition(" error for HTTP ")[0].rpartition(": ")[2].strip())
    return Refusal("files_reached", f"the object storage does not answer ({reason[:80]})", "check AWS_ENDPOINT_URL and the network, and run the command again")


def _redacted(text: str) -> str:
    """What was given as an address, without what might be a key in it."""
    return re.sub(r"\?.*", "?...", re.sub(r"//.*@", "//...@", text.strip()))[:100]
