"""The service's pages: /predict and /explain take features, a patient of the store, or a zip of a scan; /columns, /health, /metrics, and what they are."""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import IO, Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from penumbra.base import resources
from penumbra.base.progress import say
from penumbra.base.refusal import Refusal, reportable
from penumbra.commands.model_service import archives, page
from penumbra.commands.model_service.callers import Caller, Door
from penumbra.commands.model_service.counters import Counters
from penumbra.commands.model_service.questions import (
    EXAMPLE,
    Columns,
    Explanations,
    Features,
    Health,
    Intent,
    Name,
    Patient,
    Predictions,
    Refused,
    Stage,
    Treatment,
)
from penumbra.commands.model_service.resident import Resident
from penumbra.pipeline.applicability import Person as Record
from penumbra.registry import LoadedModel

JSON, ZIP = "application/json", "application/zip"
STATUS = {
    "token": 401, "model_machine": 403, "model_role": 403, "console_host": 403, "patient_stored": 404, "model_media": 415, "archive_size": 413,
    "model_body": 413, "model_busy": 503, "log_written": 503, "log_whole": 503, "version_registered": 503, "model_registered": 503, "bundle_unchanged": 503,
    "bundle_readable": 503, "store_busy": 503, "model_failed": 500, "model_path": 404, "model_method": 405,
}  # fmt: skip
UNUSABLE = 422  # every other rule: what was sent cannot be used
JSON_MB = 40  # of a request that sends features; a thousand columns of a hundred patients are 5
TITLE, ABOUT = (
    "penumbra serve-model",
    "One registered version answers: is it for this patient, and if so, which risk. Never show a risk without `applicability`.",
)
REFUSED: dict[int | str, dict[str, Any]] = {
    status: {"model": Refused, "description": text}
    for status, text in {
        401: "No token, or a wrong one.", 403: "Not for this caller.", 404: "No such patient.", 413: "Larger than is allowed.", 415: "Neither JSON nor a zip.",
        422: "What was sent cannot be used; the rule says why.", 503: "Busy, or the version cannot answer now.",
    }.items()
}  # fmt: skip
GUARDED: dict[int | str, dict[str, Any]] = {status: REFUSED[status] for status in (401, 403, 422, 503)}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": {"oneOf": [{"$ref": "#/components/schemas/Features"}, {"$ref": "#/components/schemas/Patient"}]}, "example": EXAMPLE},
            ZIP: {"schema": {"type": "string", "format": "binary", "description": "One patient's folder: CT and structure set as DICOM, or NIfTI."}},
        },
    }
}

Task = Callable[..., tuple[LoadedModel, list[dict[str, Any]]]]


class Service:
    """The version, who may ask, and the limits."""

    def __init__(self, resident: Resident, door: Door) -> None:
        self.resident, self.door, self.counters = resident, door, Counters()
        self.limits = resident.work.settings.serve_model
        self.turns = asyncio.Semaphore(self.limits.at_once)

    async def answer(self, request: Request, record: Record, center: str | None, *, explained: bool) -> dict[str, Any]:
        """What the version says of what was sent.

        Raises
        ------
        Refusal
            With the rule that what was sent breaks.
        """
        caller: Caller = request.state.caller
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (JSON, ZIP):
            raise Refusal("model_media", "what was sent is neither JSON nor a zip", f"send {JSON} or {ZIP}, and say so in Content-Type")
        most = min(JSON_MB, self.limits.body_mb) if kind == JSON else self.limits.body_mb
        with tempfile.TemporaryDirectory(prefix="scan-") as folder, (Path(folder) / "sent").open("w+b") as sent:
            await _received(request, sent, most)
            task = self._scan(sent, Path(folder), center, record) if kind == ZIP else self._question(sent, request, caller)
            async with self.turn():
                loaded, answers = await run_in_threadpool(task, explained=explained)
        for answer in answers:
            self.counters.applicability.labels(answer["applicability"]["word"]).inc()
            self.counters.groups.labels(answer["risk_group"]).inc()
        self.counters.served.labels(loaded.entry.model).set(loaded.entry.version)
        return {"model": loaded.entry.model, "version": loaded.entry.version, "answers": answers}

    def _scan(self, sent: IO[bytes], folder: Path, center: str | None, record: Record) -> Task:
        def task(*, explained: bool) -> tuple[LoadedModel, list[dict[str, Any]]]:
            unpacked = folder / "scan"
            unpacked.mkdir()
            archives.unpack(sent, unpacked, archives.Limits(self.limits.files, self.limits.unpacked_mb))
            loaded, answer = self.resident.of_folder(unpacked, center or "", record, explained=explained)
            return loaded, [answer]

        return task

    def _question(self, sent: IO[bytes], request: Request, caller: Caller) -> Task:
        question = _parsed(sent.read(), self.limits.patients)
        if isinstance(question, Features):
            request.state.sent = "features"
            return lambda *, explained: self.resident.of_features(question.features, question.center or "", explained=explained)
        request.state.sent = "patient"
        if caller.role != "reader":
            raise Refusal("model_role", "this token may send features and scans, and not name a patient of the store", "ask with the token of readers")

        def task(*, explained: bool) -> tuple[LoadedModel, list[dict[str, Any]]]:
            path = request.url.path
            loaded, answer = self.resident.of_patient(question.patient, question.center, explained=explained, caller=caller.name, page=path)
            return loaded, [answer]

        return task

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a turn to compute.

        Raises
        ------
        Refusal
            "model_busy".
        """
        try:
            await asyncio.wait_for(self.turns.acquire(), self.limits.wait_s)
        except TimeoutError:
            fault = f"{self.limits.at_once} requests have been computing for {self.limits.wait_s:g} s"
            raise Refusal("model_busy", fault, "ask again in a moment") from None
        try:
            yield
        finally:
            self.turns.release()


async def _received(request: Request, sent: IO[bytes], max_mb: int) -> None:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > max_mb * archives.MB:
            raise Refusal("model_body", f"more than {max_mb} MB were sent", "send one patient's scan, or features in several requests")
        sent.write(part)
    sent.seek(0)


def _parsed(body: bytes, patients: int) -> Features | Patient:
    """The body as a question; a fault names the place in the document, never what stands there."""
    kind: type[Features] | type[Patient] = Patient if b'"patient"' in body[:200] and b'"features"' not in body[:200] else Features
    try:
        question = kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) if isinstance(part, int) else part if part in kind.model_fields else "a column" for part in first["loc"])
        fault = f"{place or 'the body'}: {first['msg'] if first['type'] != 'json_invalid' else 'no JSON'}"
        raise Refusal("model_question", fault, 'send {"features": [{"COLUMN": NUMBER, ...}]} or {"patient": "KEY", "center": "NAME"}') from None
    if isinstance(question, Features) and len(question.features) > patients:
        raise Refusal("model_body", f"{len(question.features)} patients were sent", f"send at most {patients} in one request (serve_model.patients)")
    return question


def application(service: Service, address: str) -> FastAPI:
    """The pages of a service."""
    app = FastAPI(title=TITLE, description=ABOUT, version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    resident, door = service.resident, service.door

    @app.middleware("http")
    async def counted(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        began = time.perf_counter()
        request.state.sent = "scan" if request.headers.get("content-type", "").startswith(ZIP) else "none"
        try:
            if request.url.path != "/health":
                request.state.caller = door.caller(request)
            elif not door.tokens:
                door.caller(request)
            response = await proceed(request)
        except Refusal as refusal:
            response = _refused(request, refusal)
        except Exception as error:  # the machine's end or a fault of ours: what was sent is not repeated, and other requests are answered
            print(f"serve-model: {reportable(error)}", file=sys.stderr)
            failed = Refusal("model_failed", "the service failed on this request", "run penumbra doctor, and report the line in its log")
            exhausted = resources.refusal_of(error, resident.work.home)
            response = _refused(request, failed) if exhausted is None else _refused(request, exhausted, 503)
        seconds = time.perf_counter() - began
        path = request.url.path if request.url.path in {"/predict", "/explain", "/columns", "/health", "/metrics", "/", "/openapi.json"} else "other"
        service.counters.requests.labels(path, request.state.sent, response.status_code).inc()
        service.counters.seconds.labels(path, request.state.sent).observe(seconds)
        rule = getattr(request.state, "rule", "")
        if rule:
            service.counters.refusals.labels(rule).inc()
        say(f"{request.method[:8]} {path} {request.state.sent} {response.status_code} {seconds:.2f} s{f' {rule}' if rule else ''}")
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def _refused(request: Request, refusal: Refusal, status: int | None = None) -> Response:
        request.state.rule = refusal.rule
        body = {"rule": refusal.rule, "found": refusal.found, "advice": refusal.advice}
        status = status or STATUS.get(refusal.rule, UNUSABLE)
        headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "5"}}.get(status)
        return JSONResponse(body, status, headers=headers)

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return _refused(request, refusal)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        place = error.errors()[0]["loc"][-1]
        fault = f"the parameter {place} of the address is not what it can be"
        return _refused(request, Refusal("model_question", fault, "the page of the service lists the parameters"))

    @app.exception_handler(HTTPException)
    async def missing(request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            refused = _refused(request, Refusal("model_method", "the page does not answer this method", "the page / lists what it answers"))
            refused.headers.update(error.headers or {})
            return refused
        return _refused(request, Refusal("model_path", "the service has no such page", "the page / lists those that there are"))

    async def answered(request: Request, record: Record, center: str | None, kind: type[BaseModel]) -> Any:
        return await service.answer(request, record, center, explained=kind is Explanations)

    Center = Annotated[Name | None, Query(description="Of a scan: the center whose names of structures are read, and to which probabilities were fitted.")]
    Age = Annotated[float | None, Query(ge=0, le=130, description="Of a scan's patient, in years.")]
    OverallStage = Annotated[Stage | None, Query(description="Of a scan's patient.")]
    GivenTreatment = Annotated[Treatment | None, Query(description="Of a scan's patient.")]
    GivenIntent = Annotated[Intent | None, Query(description="Of a scan's patient.")]

    @app.post("/predict", response_model=Predictions, responses=REFUSED, openapi_extra=BODY)
    async def predict(
        request: Request, center: Center = None, age: Age = None, stage: OverallStage = None, treatment: GivenTreatment = None, intent: GivenIntent = None
    ) -> Any:
        """Whether the version is for a patient, risk and survival with their limits. Parameters of the address are for a scan."""
        return await answered(request, Record(age, stage, treatment, intent), center, Predictions)

    @app.post("/explain", response_model=Explanations, responses=REFUSED, openapi_extra=BODY)
    async def explain(
        request: Request, center: Center = None, age: Age = None, stage: OverallStage = None, treatment: GivenTreatment = None, intent: GivenIntent = None
    ) -> Any:
        """The same, with the percentile, the curve, and what adds up to the risk. It names no other patient."""
        return await answered(request, Record(age, stage, treatment, intent), center, Explanations)

    @app.get("/columns", response_model=Columns, responses=GUARDED)
    def columns() -> Any:
        """What the version reads."""
        loaded = resident.loaded()
        names = list(loaded.model.columns)
        further = [] if loaded.refits is None else [name for name in loaded.refits.names if name not in names]
        facts = {"model": loaded.entry.model, "version": loaded.entry.version, "columns": names, "for_limits": further}
        return {**facts, "horizons_days": list(loaded.horizons_days)}

    @app.get("/health", response_model=Health, responses={403: REFUSED[403], 503: REFUSED[503]})
    def health() -> Any:
        """Whether it answers, and which version does. Needs no token."""
        entry = resident.loaded().entry
        return {"status": "ready" if resident.is_warm else "warming", "model": entry.model, "version": entry.version}

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **GUARDED})
    def metrics() -> Response:
        """For Prometheus."""
        entry = resident.loaded().entry
        service.counters.served.labels(entry.model).set(entry.version)
        service.counters.ready.set(resident.is_warm)
        return Response(service.counters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def shown() -> Response:
        return HTMLResponse(page.page(app.openapi(), address, guarded=bool(door.tokens)), headers={"Content-Security-Policy": page.POLICY})

    _declare(app, guarded=bool(door.tokens))
    return app


def _declare(app: FastAPI, *, guarded: bool) -> None:
    """Add to the OpenAPI document what FastAPI cannot see: the bodies, which are read as they come, and the token."""
    made = app.openapi()
    schemas = made["components"]["schemas"]
    for kind in (Features, Patient):
        schemas[kind.__name__] = kind.model_json_schema(ref_template="#/components/schemas/{model}")
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    if guarded:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, methods in made["paths"].items():
            for operation in methods.values():
                if path != "/health":
                    operation["security"] = [{"token": []}]
    app.openapi_schema = made
