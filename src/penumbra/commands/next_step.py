"""The one command to type next, from what `penumbra status` found."""

import os
from pathlib import Path

from penumbra.base.project import checkout, is_made
from penumbra.commands.status_data import Status

COHORT_ADVICE = "For your own patients: penumbra run --cohort FOLDER."


def next_step(status: Status | None) -> tuple[str, str]:
    """The command, and why that one; status: None where there is neither a checkout nor a state folder."""
    if status is None or status.project is None or status.home is None:
        if os.environ.get("PENUMBRA_PROJECT") or checkout():
            return "cd CHECKOUT && make run", "The folder with params.yaml is missing."
        return "penumbra init my-department", "There is no project here. This makes one."
    unread = [each.center for each in status.waiting if each.why.startswith("arrived")]
    if status.running is not None:
        return 'penumbra sql "SELECT id, what FROM commits ORDER BY id DESC LIMIT 5"', "A command is working here; this shows what it wrote last."
    if not status.centers and not unread:
        return _first(Path(status.home), Path(status.project))
    failure = next((each for each in status.failures if each.what.startswith("penumbra ")), None)
    if failure is not None:
        return failure.what, "It did not finish."
    if status.champion is None:
        return "penumbra run", "No version is champion yet."
    proposed = next((each for each in status.waiting if each.command), None)
    if proposed is not None:
        return proposed.command, f"The retraining for {proposed.center} proposes this champion; a person decides."
    undecided = [each.center for each in status.waiting if each.why.startswith(("arrived", "read", "decided"))]
    if undecided:
        return f"penumbra retrain --center {undecided[0]}", "This validates the champion there and decides whether a refitted model is better."
    if status.checked is not None and status.checked.bad:
        return "penumbra doctor", "The last check found something wrong."
    if status.champion.versions is not None and status.champion.versions > 1:
        return "penumbra compare", "Everything is up to date; this shows the registered versions side by side."
    return "penumbra console", "Everything is up to date; this shows patients, models and decisions in a browser."


def _first(home: Path, project: Path) -> tuple[str, str]:
    """In an empty state folder: three simulated centers, or those that were simulated already."""
    simulated = home / "simulated"
    if home == project / "data" and not is_made(project):
        return "make run", f"Nothing has arrived yet. This simulates three centers and runs everything. {COHORT_ADVICE}"
    if simulated.is_dir():
        return f"penumbra run --cohort {simulated}", f"There is a simulated cohort. {COHORT_ADVICE}"
    folder = "data/simulated" if is_made(project) and Path.cwd() == project else "simulated"
    return (
        f"penumbra simulate {folder} && penumbra run --cohort {folder}",
        f"Nothing has arrived yet. This simulates three centers and runs everything. {COHORT_ADVICE}",
    )
