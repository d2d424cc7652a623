"""Whom the models are for, as models/intended_use.yaml says it, and what is known of a patient against it.

What is known comes from the clinical record (age, stage) and from the center: a file center.yaml in its folder declares treatment, intent and imaging of the
patients that it sends. What nobody declared is not known: it is said, and is no ground for either word.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.base.yaml_files import ParamsError, in_file, read_yaml, shown, wrong

INTENDED_USE = "intended_use.yaml"  # in models/
CENTER_FILE = "center.yaml"  # in a center's folder
NOT_KNOWN = "not known"
# Canonical word -> how centers write it, in lower case.
TREATMENTS = {
    "radiotherapy": ("radiotherapy", "radiation", "radiation therapy", "rt", "sbrt", "sabr", "chemoradiotherapy", "chemoradiation", "crt", "radiochemotherapy"),
    "surgery": ("surgery", "surgical", "resection", "resected", "lobectomy", "operation", "operated"),
    "systemic": ("systemic", "systemic therapy", "chemotherapy", "immunotherapy", "targeted therapy"),
}
INTENTS = {"curative": ("curative", "radical", "definitive"), "palliative": ("palliative", "palliation")}
IMAGING = {
    "planning": ("planning", "planning ct", "radiotherapy planning", "simulation", "simulation ct"),
    "diagnostic": ("diagnostic", "diagnostic ct", "staging", "staging ct", "preoperative ct"),
}
WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {"treatment": TREATMENTS, "intent": INTENTS, "imaging": IMAGING}
STAGES = ("0", "I", "II", "III", "IV")
OLDEST_YEARS = 120.0


@dataclass(frozen=True)
class Declaration:
    """What a center says of the patients that it sends; None: not known.

    Parameters
    ----------
    treatment
        Primary treatment: "radiotherapy", "surgery" or "systemic".
    intent
        "curative" or "palliative".
    imaging
        "planning" or "diagnostic".
    """

    treatment: str | None = None
    intent: str | None = None
    imaging: str | None = None

    @property
    def facts(self) -> dict[str, str]:
        """What is declared, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Use:
    """A patient against the intended use.

    Parameters
    ----------
    contrary
        What is known and not intended, one phrase each: "treatment surgery".
    unknown
        Names of what is not known.
    """

    contrary: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What is contrary, then what is not known; "" where neither."""
        parts = [f"outside the intended use: {', '.join(self.contrary)}"] if self.contrary else []
        return "; ".join((*parts, *([f"{', '.join(self.unknown)} {NOT_KNOWN}"] if self.unknown else [])))


@dataclass(frozen=True)
class IntendedUse:
    """Whom the models are for.

    Parameters
    ----------
    treatment, intent, imaging, stage
        What is intended, in canonical words.
    age : years
        From and to, both intended.
    """

    treatment: tuple[str, ...]
    intent: tuple[str, ...]
    imaging: tuple[str, ...]
    stage: tuple[str, ...]
    age: tuple[float, float]

    def of(self, declared: Declaration, *, age: float | None = None, stage: str | None = None) -> Use:
        """Hold a patient against the intended use.

        Parameters
        ----------
        declared
            Of the patient's center, or of the patient.
        age : years
            At diagnosis; None: not known.
        stage
            Overall stage, "IIIB" counts as III; None: not known.

        Returns
        -------
        Use
            What is contrary, and what is not known.
        """
        facts: dict[str, Any] = {**asdict(declared), "stage": stage_group(stage), "age": age}
        contrary = [f"{name} {value}" for name in (*WORDS, "stage") if (value := facts[name]) is not None and value not in getattr(self, name)]
        if age is not None and not self.age[0] <= age <= self.age[1]:
            contrary.append(f"age {age:g}")
        return Use(tuple(contrary), tuple(name for name, value in facts.items() if value is None))

    def to_dict(self) -> dict[str, Any]:
        """Return what `intended_use` reads.

        Returns
        -------
        dict
            As the file has it.
        """
        return {name: list(value) for name, value in asdict(self).items()}

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Name and what is intended, as words."""
        listed = [(name, ", ".join(getattr(self, name))) for name in (*WORDS, "stage")]
        return [*listed, ("age", f"{self.age[0]:g} to {self.age[1]:g} years")]


def stage_group(stage: str | None) -> str | None:
    """I, II, III, IV or 0 of an overall stage such as IIIB; None where it is none."""
    text = (stage or "").strip().upper()
    return next((group for group in sorted(STAGES, key=len, reverse=True) if text.startswith(group)), None)


def read_intended_use(folder: Path | None = None) -> IntendedUse:
    """Read models/intended_use.yaml.

    Parameters
    ----------
    folder
        None: models/ of the project.

    Returns
    -------
    IntendedUse
        With checked values.

    Raises
    ------
    ParamsError
        `models/intended_use.yaml, treatment: treatment is 'surgical', ...`.
    """
    path = (folder or project_root() / "models") / INTENDED_USE
    with in_file(path):
        return intended_use(read_yaml(path))


def intended_use(content: Mapping[str, Any]) -> IntendedUse:
    """Check what a file or a registered version says.

    Parameters
    ----------
    content
        Key -> value.

    Returns
    -------
    IntendedUse
        With checked values.

    Raises
    ------
    ParamsError
        A key that is unknown or missing, or a value that is none of its words.
    """
    names = [field.name for field in fields(IntendedUse)]
    for name in content:
        if name not in names:
            raise wrong(str(name), f"unknown key {shown(name)}", f"Use {', '.join(names)}")
    values: dict[str, Any] = {}
    for name in names:
        if name not in content:
            raise wrong(name, f"{name} is missing", "Restore it from git")
        value = content[name]
        if name == "age":
            numbers = isinstance(value, list) and len(value) == 2 and all(isinstance(each, int | float) and not isinstance(each, bool) for each in value)
            if not numbers or not 0 <= value[0] < value[1] <= OLDEST_YEARS:
                raise wrong(name, f"age is {shown(value)}", f"Give two numbers of years, rising, from 0 to {OLDEST_YEARS:g}")
            values[name] = (float(value[0]), float(value[1]))
            continue
        words = STAGES if name == "stage" else tuple(WORDS[name])
        if not isinstance(value, list) or not value or not all(each in words for each in value):
            raise wrong(name, f"{name} is {shown(value)}", f"Give a list of {', '.join(words)}")
        values[name] = tuple(value)
    return IntendedUse(**values)


def word(name: str, text: object) -> str | None:
    """The canonical word for how a center writes a treatment, an intent or its imaging; None where it is not known.

    Raises
    ------
    Refusal
        `center_declared: a treatment that is none of ...`.
    """
    plain = " ".join(str(text if text is not None else "").lower().replace("_", " ").replace("-", " ").split())
    if plain in ("", "unknown", "not known", "none", "null"):
        return None
    canonical = next((each for each, spellings in WORDS[name].items() if plain in spellings), None)
    if canonical is None:
        raise Refusal("center_declared", f"{name} {shown(text)} is none that is known", f"Write one of {', '.join(WORDS[name])}, or leave {name} out")
    return canonical


def read_declaration(folder: Path) -> Declaration:
    """`center.yaml` of a center's folder; nothing is declared where there is none.

    Parameters
    ----------
    folder
        Of the center.

    Returns
    -------
    Declaration
        In canonical words.

    Raises
    ------
    Refusal
        `center_declared: center.yaml has the key surgeon. ...`.
    """
    path = folder / CENTER_FILE
    if not path.is_file():
        return Declaration()
    advice = f"Write {', '.join(WORDS)} into {CENTER_FILE}, one below the other, such as treatment: surgery"
    try:
        content = read_yaml(path)
    except ParamsError as error:
        raise Refusal("center_declared", str(error), advice) from error
    strange: Collection[str] = sorted(str(key) for key in content if key not in WORDS)
    if strange:
        raise Refusal("center_declared", f"{CENTER_FILE} has the key {next(iter(strange))[:32]}", advice)
    return Declaration(**{name: word(name, content.get(name)) for name in WORDS})
