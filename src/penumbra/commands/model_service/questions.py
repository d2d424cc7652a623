"""What the service is sent and what it answers, as its OpenAPI document shows it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints

Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Stage = Literal["I", "II", "III", "IV"]
Treatment = Literal["radiotherapy", "surgery", "systemic"]
Intent = Literal["curative", "palliative"]
EXAMPLE = {"features": [{"gtv.original_shape_MeshVolume": 31250.0}]}


class Sent(BaseModel):
    """What no key beyond the declared ones is accepted in; true is not 1, and a text is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Features(Sent):
    """One or more patients by their features, as `penumbra.radiomics` names them; of a version with clinical columns these too."""

    features: list[dict[str, FiniteFloat | None]] = Field(min_length=1, description="Per patient: column of the model -> value. GET /columns lists them.")
    center: Name | None = Field(default=None, description="Of the patients: probabilities that were fitted to it are then its own.")


class Patient(Sent):
    """One patient of the store, whose features are read there; for callers who may."""

    patient: Name = Field(description="The patient's key in the store.")
    center: Name | None = Field(default=None, description="Needed where two centers have a patient of this key.")


class Applicability(BaseModel):
    """Whether the version is for this patient; no risk should be shown without it."""

    word: Literal["inside", "edge", "outside", "unknown"]
    reason: str
    share: float | None = None
    distance: float | None = None
    columns: list[str] = Field(default=[], description="Beyond the range of the training patients, the farthest ten first.")


class Survival(BaseModel):
    """Probability to be alive at a time, with limits; null where the training patients were not followed so long."""

    survival: float | None
    lower: float | None
    upper: float | None


class Answer(BaseModel):
    """What the version says of one patient."""

    applicability: Applicability
    log_risk: float = Field(description="Higher: earlier death.")
    lower: float | None
    upper: float | None
    limits: str = Field(description="What the limits cover, or why there are none.")
    risk_group: Literal["low", "high"]
    cutoff: float
    survival: dict[str, Survival] = Field(description='By time: "2y", "180d".')
    unanswered: dict[str, str]
    remarks: list[str]


class Explained(Answer):
    """The same, with the percentile among the training patients, the curve, and what adds up to log_risk."""

    percentiles: list[float] | None
    curve: list[dict[str, float | None]]
    contributions: dict[str, Any]


class Predictions(BaseModel):
    """One answer per patient, in the order in which they were sent."""

    model: str
    version: int
    answers: list[Answer]


class Explanations(BaseModel):
    """Likewise, explained."""

    model: str
    version: int
    answers: list[Explained]


class Refused(BaseModel):
    """Why a request has no answer; `penumbra rules RULE` explains the rule."""

    rule: str
    found: str
    advice: str


class Health(BaseModel):
    """`ready`: it answers without delay. `warming`: it answers, and the first scan takes longer."""

    status: Literal["ready", "warming"]
    model: str
    version: int


class Columns(BaseModel):
    """What a version reads: the columns of its model, and those that only its limits need."""

    model: str
    version: int
    columns: list[str]
    for_limits: list[str]
    horizons_days: list[float]
