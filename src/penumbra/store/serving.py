"""SQL for colleagues over the network: POST /sql with a token; each statement in a process that holds the store and nothing else, within limits."""

import asyncio
import errno
import hmac
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from penumbra.base.refusal import Refusal
from penumbra.store.guard import LONGEST
from penumbra.store.judging import JUDGE
from penumbra.store.resident import RESIDENTS
from penumbra.store.views import relation_names

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

TOKEN = "PENUMBRA_SQL_TOKEN"
SHORTEST_TOKEN = 16
MEDIA = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
USAGE = """penumbra: read-only SQL.
POST /sql with the header "Authorization: Bearer TOKEN" and the body {"sql": "SELECT ...", "format": "json", "as_of": "nsclc-os/1"}.
format: json (default), csv, arrow or parquet. as_of is optional: a registered version or a commit's number. SHOW TABLES and DESCRIBE explain.
"""
STATUS = {"sql_timeout": 408, "sql_memory": 413, "sql_rows": 413, "token": 401, "sql_busy": 503, "question": 400}
CHUNK = 1 << 20


@dataclass(frozen=True)
class Question:
    """One statement of a user.

    Parameters
    ----------
    format
        One of MEDIA.
    as_of
        A registered version or a commit's number; None: now.
    values
        Of its ? in order, each a text, number, truth value or None.
    first
        Only so many rows, and in the schema of the answer, which is Arrow, how many there are; None: all.
    """

    sql: str
    format: str = "json"
    as_of: str | None = None
    values: tuple[Any, ...] = ()
    first: int | None = None


@dataclass(frozen=True)
class Limits:
    """timeout_s for one statement; memory_mb of it; max_rows of its answer; at_once: maximum concurrent statements."""

    timeout_s: float
    memory_mb: int
    max_rows: int
    at_once: int


def token_of_environment() -> str:
    """The token that colleagues must show.

    Raises
    ------
    Refusal
        "token": there is none, or one that could be guessed.
    """
    token = os.environ.get(TOKEN, "")
    if len(token) < SHORTEST_TOKEN:
        fault = f"{TOKEN} has {len(token)} characters" if token else f"{TOKEN} is not set"
        raise Refusal("token", fault, f"run: export {TOKEN}=$(openssl rand -hex 16), and give the token to those who may ask")
    return token


def serve(home: Path, token: str, limits: Limits, *, host: str, port: int) -> None:
    """Answer until stopped.

    Raises
    ------
    Refusal
        "serving_address": the port is taken, or not for this user.
    """
    import uvicorn

    free_port(host, port)
    config = uvicorn.Config(application(home, token, limits), host=host, port=port, log_level="warning", server_header=False, limit_concurrency=64)
    JUDGE.begin()
    RESIDENTS.begin(home, limits.memory_mb, limits.at_once)
    try:
        uvicorn.Server(config).run()
    finally:
        RESIDENTS.close()


def free_port(host: str, port: int) -> int:
    """Return the port if it is free; for 0 any free port.

    Raises
    ------
    Refusal
        "serving_address" where nothing can listen.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            return int(trial.getsockname()[1])
    except OSError as error:
        cause = {errno.EADDRINUSE: "is in use by another program", errno.EACCES: "needs the rights of an administrator"}.get(error.errno or 0)
        fault = f"port {port} of {host} {cause}" if cause else f"this machine cannot listen at {host} ({error.strerror or 'unknown host'})"
        advice = f"choose another port: --port {port + 1 if 1024 <= port < 65535 else 8765}" if cause else "use --host 127.0.0.1, or an address of this machine"
        raise Refusal("serving_address", fault, advice) from None


def application(home: Path, token: str, limits: Limits) -> "Starlette":
    """The two routes: GET / returns usage, POST /sql the answer."""
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    turns = asyncio.Semaphore(limits.at_once)

    async def usage(request: "Request") -> "Response":
        return PlainTextResponse(USAGE)

    async def sql(request: "Request") -> "Response":
        try:
            _check_token(request, token)
            question = question_of(await _body(request))
            return await _answer(home, question, limits, turns)
        except Refusal as refusal:
            return _refused(refusal)

    return Starlette(routes=[Route("/", usage), Route("/sql", sql, methods=["POST"])])


def _check_token(request: "Request", token: str) -> None:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(credentials.strip().encode(), token.encode()):
        raise Refusal("token", "no token, or a wrong one", "send the header Authorization: Bearer TOKEN")


async def _body(request: "Request") -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > 4 * LONGEST + 1000:
            raise Refusal("question", "the body is too long", f"a statement has at most {LONGEST} characters")
    return body


def question_of(body: bytes) -> "Question":
    """The body as a question, checked.

    Raises
    ------
    Refusal
        "question".
    """
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("sql"), str) or set(content) - {"sql", "format", "as_of"}:
        raise Refusal("question", "the body is not a JSON object with sql and, optionally, format and as_of", 'send {"sql": "SELECT ..."}')
    form, as_of = content.get("format", "json"), content.get("as_of")
    if form not in MEDIA:
        raise Refusal("question", f"no format {str(form)[:40]!r}", f"use {', '.join(MEDIA)}")
    if not isinstance(as_of, str | int | None) or isinstance(as_of, bool):
        raise Refusal("question", "as_of is neither a text nor a number", "use a registered version (nsclc-os/1) or a commit's number")
    return Question(content["sql"], form, None if as_of is None else str(as_of))


async def _answer(home: Path, question: "Question", limits: Limits, turns: asyncio.Semaphore) -> "Response":
    """The whole answer is in an unnamed file before its first byte is sent: a slow reader blocks nobody, and half an answer is never sent."""
    from starlette.concurrency import run_in_threadpool

    try:
        await asyncio.wait_for(turns.acquire(), limits.timeout_s)
    except TimeoutError:
        raise Refusal("sql_busy", f"{limits.at_once} statements have been running for {limits.timeout_s:g} s", "ask again later") from None
    try:
        file = await run_in_threadpool(ask, home, question, limits)
    finally:
        turns.release()
    return streamed(file, question.format)


def streamed(file: IO[bytes], form: str) -> "Response":
    """An answer of `ask` as a response; the file is gone with it."""
    from starlette.responses import StreamingResponse

    start = file.tell()
    size = file.seek(0, os.SEEK_END) - file.seek(start)
    return StreamingResponse(iter(lambda: file.read(CHUNK), b""), media_type=MEDIA[form], headers={"Content-Length": str(size)})


def ask(home: Path, question: "Question", limits: Limits) -> IO[bytes]:
    """The answer in an unnamed file, from a process that holds the store; a statement that the judge refuses reaches none.

    Raises
    ------
    Refusal
        Of the judge, as the process reported it, or "sql_timeout" because it reported nothing.
    """
    verdict = JUDGE.ask(question.sql, relation_names(home))
    return RESIDENTS.ask(home, {**asdict(question), **asdict(limits), "verdict": asdict(verdict)})


def _refused(refusal: Refusal) -> "Response":
    from starlette.responses import JSONResponse

    body = {"rule": refusal.rule, "found": refusal.found, "advice": refusal.advice}
    return JSONResponse(body, STATUS.get(refusal.rule, 400), headers={"WWW-Authenticate": "Bearer"} if refusal.rule == "token" else None)
