"""Actions: promote, roll back, retrain, set a center aside, withdraw a patient.

A page shows what will happen, as the command's own package foresees it, and asks for a reason and for the target's name, typed again. What was shown is
bound to the form: it is refused where something changed since, and carried out once however often it is sent. Without --allow-actions, and for viewers, the
page shows the command to type.
"""

import hashlib
import hmac
import secrets
from datetime import UTC, datetime

from starlette.responses import RedirectResponse, Response

from penumbra.base.refusal import Refusal
from penumbra.console import kinds, running
from penumbra.console.access import require_editor
from penumbra.console.kinds import Facts, Kind, Target
from penumbra.console.named import mentioned
from penumbra.console.pages import Page
from penumbra.console.visit import Visit
from penumbra.pipeline.workspace import begin

MAX_REASON = 500
KEPT = 50  # of the list of actions


def action(visit: Visit) -> Response:
    """What an action would do, and the form that begins it."""
    kind = kinds.kind_of(visit.path("kind"))
    target = {name: visit.value(name).strip() for name in kind.fields if visit.value(name).strip()}
    _require_target(kind, target)
    return _page(visit, kind, target)


def act(visit: Visit) -> Response:
    """Begin an action that was foreseen, given a reason and confirmed."""
    require_editor(visit)
    if not visit.console.allow_actions:
        raise Refusal("actions_allowed", "this console only shows", "start it with --allow-actions, or type the command")
    kind, form = kinds.kind_of(visit.path("kind")), visit.form
    target = {name: form.get(name, "").strip() for name in kind.fields if form.get(name, "").strip()}
    _require_target(kind, target)
    name, reason = form.get("once", ""), " ".join(form.get("reason", "").split())
    there = running.NAME.fullmatch(name) and (visit.home / running.FOLDER / f"{name}.json").is_file()
    if not there:
        fault = _fault(visit, kind, target, reason)
        if fault:
            return _page(visit, kind, target, fault)
        if not hmac.compare_digest(form.get("state", ""), _state(visit, kind, target, kind.foresee(begin(), target), name)):
            advice = "look at what would happen now, and confirm that"
            raise Refusal("action_outdated", "what was shown is not what would happen any more", advice)
        _begin(visit, kind, target, reason, name)
    return RedirectResponse(visit.url("action_run", run=name, as_of=None), 303, headers={"Cache-Control": "no-store"})


def _begin(visit: Visit, kind: Kind, target: Target, reason: str, name: str) -> None:
    """Write it down first: what cannot be logged is not done."""
    patients = frozenset({target["patient"]} if "patient" in target else ())
    words = "" if patients else " ".join(target.values())
    visit.console.trail.note(visit.account, "began", {"action": kind.name, "target": words, "reason": reason, "run": name}, patients)
    run = running.Run(name, kind.name, words, reason, visit.account.name, datetime.now(UTC).isoformat(timespec="seconds"))
    running.begin(visit.home, run, running.Order(tuple(kind.command(target, reason)), target.get("patient", "")))


def runs(visit: Visit) -> Response:
    """Every action that was begun here, the newest first."""
    require_editor(visit)
    rows = [(run, running.is_working(visit.home, run)) for run, _ in zip(running.every(visit.home), range(KEPT), strict=False)]
    return visit.page("action_runs.html", title="Actions", rows=rows)


def run(visit: Visit) -> Response:
    """One action: what its command printed so far, and how it ended."""
    require_editor(visit)
    begun = running.read(visit.home, visit.path("run"))
    working = running.is_working(visit.home, begun)
    return visit.page("action_run.html", title=f"{begun.action} {begun.target}".strip(), run=begun, working=working, output=running.output(visit.home, begun))


def _page(visit: Visit, kind: Kind, target: Target, fault: str = "") -> Response:
    facts, once = kind.foresee(begin(), target), secrets.token_hex(16)
    may = visit.console.allow_actions and visit.account.is_editor
    response = visit.page(
        "action.html", title=kind.label_of(target), command=kind.words(target), status=400 if fault else 200, kind=kind, target=target, facts=facts,
        may=may, once=once, state=_state(visit, kind, target, facts, once), fault=fault, typed=kind.typed(target), reason=visit.form.get("reason", ""),
    )  # fmt: skip
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "same-origin"  # or browsers would not say where the form comes from
    return response


def _state(visit: Visit, kind: Kind, target: Target, facts: Facts, once: str) -> str:
    """Binds a form to what it showed, to its session and to one sending."""
    return hashlib.sha256(repr((visit.csrf, kind.name, sorted(target.items()), list(facts), once)).encode()).hexdigest()


def _fault(visit: Visit, kind: Kind, target: Target, reason: str) -> str:
    """Why a form is not enough; "" where it is."""
    if not running.NAME.fullmatch(visit.form.get("once", "")):
        return "This form is not from its page."
    if not reason or len(reason) > MAX_REASON:
        return f"Say why, in at most {MAX_REASON} characters."
    if mentioned(visit, reason) or is_named(target.get("patient", ""), reason):
        return "A reason names no patient: it is kept, also when the patient withdraws."
    if visit.form.get("confirm", "").strip() != kind.typed(target):
        return f"To confirm, type {kind.typed(target)}."
    return ""


def is_named(patient: str, reason: str) -> bool:
    """Whether a reason names the patient, however it is spelled: E005, e005, "E0 05"."""
    plain, named = ("".join(letter for letter in text.casefold() if letter.isalnum()) for text in (reason, patient))
    return bool(named) and named in plain


def _require_target(kind: Kind, target: Target) -> None:
    """Refuse what could be taken for an option of the command.

    Raises
    ------
    Refusal
        "action_target".
    """
    if kind.fields and kind.fields[0] not in target:
        raise Refusal("action_target", f"no {kind.fields[0]} is given", "begin from the page that offers the action")
    if any(value.startswith("-") or not value.isprintable() or len(value) > 200 for value in target.values()):
        raise Refusal("action_target", "the target is not a name", "begin from the page that offers the action")


ROUTES = (
    Page("/actions", runs, name="action_runs", live=True),
    Page("/actions/runs/{run}", run, name="action_run", live=True),
    Page("/actions/{kind}", action, name="action", live=True),
    Page("/actions/{kind}", act, name="act", methods=("POST",), live=True),
)
