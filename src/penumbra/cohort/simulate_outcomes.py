"""What a simulated patient is and what happens to them: hidden causes, survival, and the clinical table as centers spell it."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penumbra.cohort.simulate_dicom import Identity

# Log hazard per standard deviation of each hidden cause. Volume alone is a fair control, and what 72 patients show beyond it is 2.5 standard errors or more.
COEFFICIENTS = {"log_volume": 0.6, "inside": 1.1, "shell": 1.2}
LOG_VOLUME_MEAN, LOG_VOLUME_SD = float(np.log(8500.0)), 0.62  # of the volume in mm3: 3 to 32 cm3
INSIDE_HU, INSIDE_SPREAD = 115.0, 0.50  # texture inside: HU at the median patient, and its log per standard deviation
SHELL_HU, SHELL_SPREAD = 190.0, 0.50  # strands in the shell, the same
LIMIT = 2.0  # hidden causes stay within two standard deviations
WEIBULL_SHAPE, MEDIAN_DAYS = 1.1, 2000.0  # of the patient with average causes: nobody is all but sure to die, or to live, within three years
CENSORED_SHARE = 0.35


@dataclass(frozen=True)
class Course:
    """The hidden causes of one patient, and the outcome they led to.

    Parameters
    ----------
    log_volume, inside, shell
        Standardized hidden causes.
    log_hazard
        Their combination with COEFFICIENTS.
    time : days
        To death or last follow-up.
    event
        True: died.
    """

    log_volume: float
    inside: float
    shell: float
    log_hazard: float
    time: int
    event: bool

    @property
    def volume_mm3(self) -> float:
        return float(np.exp(LOG_VOLUME_MEAN + LOG_VOLUME_SD * self.log_volume))

    @property
    def inside_hu(self) -> float:
        return float(INSIDE_HU * np.exp(INSIDE_SPREAD * self.inside))

    @property
    def shell_hu(self) -> float:
        return float(SHELL_HU * np.exp(SHELL_SPREAD * self.shell))


def draw_courses(n: int, rng: np.random.Generator, *, baseline: float) -> list[Course]:
    """Hidden causes and outcomes of n patients.

    Causes and the luck of survival are a Latin hypercube sample (McKay, Beckman and Conover 1979), the least correlated of many, so
    that a center of 28 shows the same distributions at every seed. Survival is Weibull with proportional hazards; follow-up ends at
    a uniform time, scaled so that CENSORED_SHARE of the center is censored.

    Parameters
    ----------
    baseline
        Factor on all survival times of the center.
    """
    from scipy.special import ndtri

    strata = min_correlation_sample(4, n, rng)
    causes = np.clip(ndtri(strata[:3]), -LIMIT, LIMIT)
    log_hazard = np.array(list(COEFFICIENTS.values())) @ causes
    scale = baseline * MEDIAN_DAYS / np.log(2) ** (1 / WEIBULL_SHAPE)
    death = np.maximum(1, np.round(scale * (-np.log1p(-strata[3]) * np.exp(-log_hazard)) ** (1 / WEIBULL_SHAPE)))
    share_of_follow_up = rng.uniform(0.35, 2.0, n)
    longest = np.geomspace(50, 30000, 600)
    censored = (death[None, :] > longest[:, None] * share_of_follow_up[None, :]).mean(axis=1)
    follow_up = np.maximum(1, np.round(longest[int(np.argmin(np.abs(censored - CENSORED_SHARE)))] * share_of_follow_up))
    return [
        Course(
            log_volume=float(causes[0, i]),
            inside=float(causes[1, i]),
            shell=float(causes[2, i]),
            log_hazard=float(log_hazard[i]),
            time=int(min(death[i], follow_up[i])),
            event=bool(death[i] <= follow_up[i]),
        )
        for i in range(n)
    ]


def min_correlation_sample(factors: int, n: int, rng: np.random.Generator, *, candidates: int = 400) -> np.ndarray:
    """A Latin hypercube sample (factors, n) in (0, 1): of many candidates the one whose largest correlation is smallest."""
    best, smallest = np.empty((0, 0)), np.inf
    for _ in range(candidates if n > 2 else 1):
        sample = np.stack([(rng.permutation(n) + rng.uniform(0.02, 0.98, n)) / n for _ in range(factors)])
        worst = float(np.abs(np.corrcoef(sample) - np.eye(factors)).max()) if n > 2 else 0.0
        if worst < smallest:
            best, smallest = sample, worst
    return best


# fmt: off
FAMILIES = (
    "Oldenkamp", "Brightwater", "Castellanos", "Thistledown", "Vanderhoek", "Kowalczuk", "Featherstone", "Lindqvist", "Abernathy", "Montefiore",
    "Zielonka", "Drummond", "Hasselblad", "Quintanar", "Wolfensberger", "Petrossian", "Ravenscroft", "Sternbach", "Tullamore", "Ysenburg",
)
GIVEN_NAMES = (
    "Wilhelmina", "Bartholomew", "Seraphina", "Leopold", "Anneliese", "Thaddeus", "Rosalind", "Cornelius", "Philippa", "Ignatius",
    "Marguerite", "Ferdinand", "Henrietta", "Lysander", "Ottoline", "Evander", "Clementine", "Ambrose", "Theodora", "Augustin",
)
# fmt: on
STREETS = ("Larkspur Lane", "Foundry Row", "Heronsgate", "Millrace Street", "Saltmarsh Road", "Juniper Close", "Beacon Hill")
PHYSICIANS = ("Strickland^Vera", "Hollingsworth^Piet", "Marchbanks^Ilse", "Delacroix^Noor")


def invent_identity(institution: str, institution_address: str, sex: str, age: float, rng: np.random.Generator) -> Identity:
    """A person who does not exist."""
    year = 2011 - int(age)
    return Identity(
        name=f"{rng.choice(FAMILIES)}^{rng.choice(GIVEN_NAMES)}",
        hospital_number=f"HZ{rng.integers(10_000_000, 99_999_999)}",
        birth_date=f"{year}{rng.integers(1, 13):02d}{rng.integers(1, 29):02d}",
        sex=sex,
        address=f"{rng.integers(1, 190)} {rng.choice(STREETS)}",
        telephone=f"0555-{rng.integers(100000, 999999)}",
        institution=institution,
        institution_address=institution_address,
        physician=str(rng.choice(PHYSICIANS)),
    )


@dataclass(frozen=True)
class Covariates:
    """Clinical facts before a center spells them; None: not recorded."""

    age: float | None
    sex: str | None
    histology: str | None
    t_stage: int
    n_stage: int
    m_stage: int


def draw_covariates(volume_mm3: float, rng: np.random.Generator) -> Covariates:
    """Covariates without effect of their own; T follows the size of the tumor, as in life."""
    diameter_mm = 2 * (3 * volume_mm3 / (4 * np.pi)) ** (1 / 3)
    t_stage = int(np.clip(1 + (diameter_mm > 30) + rng.choice([0, 1, 2], p=[0.55, 0.3, 0.15]), 1, 4))
    histology = rng.choice(["adenocarcinoma", "squamous cell carcinoma", "large cell", "nos", ""], p=[0.36, 0.36, 0.12, 0.08, 0.08])
    return Covariates(
        age=None if rng.random() < 0.04 else float(np.clip(rng.normal(67, 9), 41, 89)),
        sex=None if rng.random() < 0.03 else ("male" if rng.random() < 0.62 else "female"),
        histology=str(histology) or None,
        t_stage=t_stage,
        n_stage=int(rng.choice([0, 1, 2, 3], p=[0.4, 0.12, 0.33, 0.15])),
        m_stage=int(rng.random() < 0.03),
    )


# How each center writes one histology; the first spelling is the most frequent.
SPELLINGS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "ours": {
        "adenocarcinoma": ("adenocarcinoma", "Adenocarcinoma"),
        "squamous cell carcinoma": ("squamous cell carcinoma", "Squamous cell carcinoma "),
        "large cell": ("large cell",),
        "nos": ("nos",),
    },
    "nsclc_radiomics": {
        "adenocarcinoma": ("adenocarcinoma",),
        "squamous cell carcinoma": ("squamous cell carcinoma",),
        "large cell": ("large cell",),
        "nos": ("nos",),
    },
    "letters": {
        "adenocarcinoma": ("ADENO", "Adeno-CA", "adenocarcinoma"),
        "squamous cell carcinoma": ("SCC", "squamous", "Squamous Cell Ca"),
        "large cell": ("Large cell carcinoma", "LCC"),
        "nos": ("NSCLC NOS (not otherwise specified)", "NSCLC"),
    },
}
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "ours": ("patient", "age", "sex", "histology", "t_stage", "n_stage", "m_stage", "overall_stage", "time", "event"),
    "nsclc_radiomics": (
        "PatientID",
        "age",
        "clinical.T.Stage",
        "Clinical.N.Stage",
        "Clinical.M.Stage",
        "Overall.Stage",
        "Histology",
        "gender",
        "Survival.time",
        "deadstatus.event",
    ),
    "letters": ("patient_id", "sex", "age", "histology", "t_stage", "n_stage", "m_stage", "overall_stage", "survival_days", "event"),
}


def spell(style: str, patient: str, facts: Covariates, time: str, event: str, rng: np.random.Generator) -> dict[str, str]:
    """One row of `clinical.csv` in the center's own style: its column names, its spellings, its gaps."""
    from penumbra.cohort.staging import overall_stage

    stage = overall_stage(str(facts.t_stage), str(facts.n_stage), str(facts.m_stage), edition="ajcc7") or ""
    histology = str(rng.choice(SPELLINGS[style][facts.histology])) if facts.histology else ""
    t, n, m = str(facts.t_stage), str(facts.n_stage), str(facts.m_stage)
    if style == "nsclc_radiomics":
        age = "NA" if facts.age is None else f"{facts.age:.4f}"
        stage = "NA" if rng.random() < 0.05 else stage.rstrip("ABC") + stage[len(stage.rstrip("ABC")) :].lower()
        values = (patient, age, t, n, m, stage, histology or "NA", facts.sex or "NA", time or "NA", event)
    elif style == "letters":
        sex = {"male": "M", "female": "F", None: "unknown"}[facts.sex]
        age = "" if facts.age is None else f"{facts.age:.0f}"
        t = f"T{t}" + ("a" if facts.t_stage in (1, 2) and rng.random() < 0.5 else "")
        values = (patient, sex, age, histology, t, f"N{n}", f"M{m}" if rng.random() > 0.1 else "MX", "", time, event)
    else:
        age = "" if facts.age is None else f"{facts.age:.2f}"
        stage = "" if rng.random() < 0.3 else str(rng.choice([stage, stage.lower(), "stage " + stage]))
        values = (patient, age, facts.sex or "", histology, t, n, m if rng.random() > 0.05 else "", stage, time, event)
    return dict(zip(COLUMNS[style], values, strict=True))


def write_clinical(path: Path, style: str, rows: Sequence[Mapping[str, str]]) -> None:
    """The center's table, rows in the order given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, fieldnames=COLUMNS[style], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
