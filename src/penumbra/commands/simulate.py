"""`penumbra simulate`: the simulated cohort as a folder, created atomically."""

from pathlib import Path

from penumbra.base.progress import track
from penumbra.base.refusal import Refusal
from penumbra.base.whole_files import whole_folder
from penumbra.base.workers import available_cores
from penumbra.cohort import CENTERS, read_truth
from penumbra.cohort.simulate import TRUTH_FILE, simulate
from penumbra.pipeline.settings import load_settings


def simulate_cohort(folder: Path, seed: int | None = None) -> str:
    """Write the simulated cohort into `folder`, unless it is there already; returns one sentence on what is there.

    Raises
    ------
    Refusal
        "folder_is_free" when `folder` holds something else.
    """
    seed = load_settings().simulate_seed if seed is None else seed
    if (folder / TRUTH_FILE).is_file():
        truth = read_truth(folder)
        if truth.seed != seed:
            raise Refusal("folder_is_free", f"a cohort of seed {truth.seed} is there", "choose another folder, or delete that one")
    elif folder.exists() and any(folder.iterdir()):
        raise Refusal("folder_is_free", "the folder is not empty and holds no simulated cohort", "choose another folder")
    else:
        total = sum(plan.patients + len(plan.refused) for plan in CENTERS)
        with whole_folder(folder, durable=False) as fresh, track("simulate", total) as advance:
            truth = simulate(fresh, seed=seed, workers=available_cores(), progress=lambda done, total: advance())
    centers = sorted({patient.center for patient in truth.patients})
    return f"{folder}: {len(truth.patients)} patients of {', '.join(centers)}, and {len(truth.refusals)} that must be refused; ground truth in {TRUTH_FILE}"
