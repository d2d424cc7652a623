"""What a report shows of single patients and of the networks: made in a process of its own, while the other figures are drawn."""

from collections.abc import Sequence
from typing import Any

from penumbra.pipeline.manifests import RegisterManifest
from penumbra.pipeline.patient_page import explained
from penumbra.pipeline.report_network import learning_curves, network_of, risk_maps
from penumbra.pipeline.report_patients import ShownPatient, slices
from penumbra.pipeline.workspace import Work


def pictures_of(work: Work, registered: RegisterManifest, shown: Sequence[ShownPatient]) -> dict[str, Any]:
    """Those fields of the inputs of a report, by name; the pages of the patients are written."""
    pictures, trained = explained(work, registered, tuple(slices(work, shown))), network_of(work)
    return {
        "slices": pictures,
        "learning": tuple(learning_curves(trained)) if trained else (),
        "maps": tuple(risk_maps(work, trained, pictures)) if trained else (),
    }
