"""One version, kept in memory with a connection to the store: what it says of features, of a patient of the store, and of a scan."""

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penumbra import registry, store
from penumbra.base import chained_log
from penumbra.base.blocks import CLINICAL
from penumbra.base.refusal import Refusal
from penumbra.commands.model_service.scanning import Scans
from penumbra.pipeline import explain
from penumbra.pipeline.applicability import STORED_COLUMNS
from penumbra.pipeline.applicability import Person as Record
from penumbra.pipeline.workspace import Work
from penumbra.registry import LoadedModel
from penumbra.registry.database import stamp
from penumbra.registry.logged_model import typical_patient
from penumbra.registry.sent import numbers
from penumbra.store.lent import Lent, at_once

LOOK_S = 10.0  # between two looks at a registry on a server; a file is looked at with every request
OF_ONE_PATIENT = ("patient_stored", "patient_of_one_center", "patient_has_features", "patient_forgotten")
SHARED = ("applicability", "log_risk", "lower", "upper", "limits", "risk_group", "cutoff", "survival", "unanswered", "remarks")
EXPLAINED = (*SHARED, "percentiles", "curve", "contributions")


class Resident:
    """A version that stays loaded, and follows its alias.

    Parameters
    ----------
    work
        State folder and parameters.
    which
        Alias or number, as `penumbra predict --model` takes it.
    """

    def __init__(self, work: Work, which: str) -> None:
        self.work, self.which = work, which
        self.is_warm = False
        self._turn = threading.Lock()
        self._loaded: LoadedModel | None = None
        self._stamp = ""
        self._looked = 0.0
        self._log = chained_log.ChainedLog(work.home / chained_log.OF_ACCESS)
        self._scans = Scans(work.home, work.settings.serve_model.at_once)
        self._lakes = Lent(work.home, work.settings.serve_model.memory_mb, work.settings.serve_model.at_once)

    def loaded(self) -> LoadedModel:
        """The version that answers now; read again, and its files checked, when the registry says that the alias names another one.

        Raises
        ------
        Refusal
            "version_registered", "bundle_unchanged" and the like.
        """
        with self._turn:
            now, at = stamp(self.work.home), time.monotonic()
            if self._loaded is not None and now == self._stamp and (now or at - self._looked < LOOK_S):
                return self._loaded
            entry = registry.find(self.work.home, self.which)
            if self._loaded is None or entry.digest != self._loaded.entry.digest or entry.version != self._loaded.entry.version:
                registry.verify(entry.folder, entry.digest)
                self._loaded = registry.load(self.work.home, entry.version, model=entry.model)
            self._stamp, self._looked = now, at
            return self._loaded

    def of_features(self, rows: Sequence[Mapping[str, float | None]], center: str, *, explained: bool) -> tuple[LoadedModel, list[dict[str, Any]]]:
        """Answers for patients who are sent as features.

        Raises
        ------
        Refusal
            "column_given", "value_missing", "value_finite" and what else a model cannot use, with the column.
        """
        loaded = self.loaded()
        columns = {*loaded.model.columns, *(loaded.refits.names if loaded.refits is not None else ())}
        answers = []
        with self._lakes.lend() as lake:
            for row in rows:
                table = {name: numbers(name, [value]) for name, value in row.items() if name in columns}
                person = explain.Person("", center, table, {}, None, None, False, (), Record(age=row.get(f"{CLINICAL}.age")))
                answers.append(self._answer(loaded, person, lake, explained=explained))
        return loaded, answers

    def of_patient(self, patient: str, center: str | None, *, explained: bool, caller: str, page: str) -> tuple[LoadedModel, dict[str, Any]]:
        """The answer for a patient of the store; the log of access has it, as it has a page of the console.

        Raises
        ------
        Refusal
            "patient_stored" where the store has no such patient, none of that center, or not the features: which of them is not said, and no other key either.
        """
        loaded = self.loaded()
        with self._lakes.lend() as lake:

            def answered() -> dict[str, Any]:
                return self._answer(loaded, explain.of_store(self.work, loaded, patient, center, scan=False, lake=lake), lake, explained=explained)

            try:
                answer = at_once(lake, answered)
            except Refusal as refusal:
                if refusal.rule not in OF_ONE_PATIENT:
                    raise
                fault = "the store has no such patient with the features that the version reads, or several centers have the key"
                raise Refusal("patient_stored", fault, "check the key, and name the center") from None
        self._note(patient, caller, page)
        return loaded, answer

    def of_folder(self, folder: Path, center: str, record: Record, *, explained: bool) -> tuple[LoadedModel, dict[str, Any]]:
        """The answer for a scan.

        Raises
        ------
        Refusal
            A scan that cannot be used, or a mask that its certificate refuses.
        """
        loaded = self.loaded()
        person = self._scans.read(loaded.entry, folder, center, record)
        with self._lakes.lend() as lake:
            return loaded, self._answer(loaded, person, lake, explained=explained)

    def warm(self) -> None:
        """Answer for nobody, and read a scan of nobody, so that the first request waits for nothing."""
        loaded = self.loaded()
        self.of_features([typical_patient(loaded.model)], "", explained=True)
        self._scans.warm(loaded.entry)
        self.is_warm = True

    def close(self) -> None:
        """End the processes that read scans, and close the store."""
        self._scans.close()
        self._lakes.close()

    def _answer(self, loaded: LoadedModel, person: explain.Person, lake: store.Store, *, explained: bool) -> dict[str, Any]:
        """What leaves the service: no key, no center, and nobody else."""
        document = explain.explain_person(self.work, loaded, person, lake=lake, similar=False).to_dict()
        document["applicability"]["columns"] = document["applicability"]["columns"][:STORED_COLUMNS]
        return {name: document[name] for name in (EXPLAINED if explained else SHARED)}

    def _note(self, patient: str, caller: str, page: str) -> None:
        entry = {"account": caller, "role": "reader", "way": "serve-model", "event": "saw", "page": page, "patients": [self._log.digest(patient)]}
        try:
            self._log.append({"at": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()), **entry})
        except OSError as error:
            fault = f"the log of access cannot be written ({error.strerror})"
            raise Refusal("log_written", fault, "make console/ in the state folder writable; no patient is shown without it") from None
