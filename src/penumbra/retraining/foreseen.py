"""What a retraining would begin with, before it begins."""

from penumbra import registry
from penumbra.pipeline import arrivals, asides
from penumbra.pipeline.workspace import Work, is_busy
from penumbra.retraining import protocol


def foresee(work: Work, center: str) -> list[tuple[str, str]]:
    """The steps and conditions of `penumbra retrain --center`; changes nothing.

    Raises
    ------
    Refusal
        "center_arrived", "center_aside", "model_registered".
    """
    protocol.require_arrived(work, center)
    asides.require(work, center, aside=False)
    champion = registry.find(work.home, registry.CHAMPION, work.settings.register.model)
    limits = work.settings.retrain
    files = arrivals.describe(work.home, work.settings.ingest.roots).centers[center]
    new = protocol.is_new(work, center, include_set_aside=True)
    facts = [
        ("center", f"{center}, {files.files} files"),
        ("validated there", f"{champion.model}/{champion.version}, trained on {', '.join(champion.train_centers)}"),
        ("new", "yes" if new else "no: nothing changed since it was decided, and the command says so"),
        ("stops at", f"fewer than {limits.min_events} deaths, or more than {100 * limits.max_rejected:g} % of its patients refused"),
        ("a better version", "becomes champion" if limits.promotion != "propose" else "is proposed, and a person promotes it"),
    ]
    if is_busy(work.home):
        facts.append(("waits", "another run is working in this state folder; this one begins when it has ended"))
    return facts
