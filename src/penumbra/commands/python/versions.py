"""`penumbra.load`, `models`, `compare` and `predict`: registered versions from Python."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra import registry
from penumbra.commands.models import model_rows
from penumbra.commands.predict import Prediction as Prediction
from penumbra.commands.predict import predict as predict_folder
from penumbra.commands.python.homes import home_of
from penumbra.commands.python.version import Version as Version

if TYPE_CHECKING:
    import pandas as pd

    from penumbra.base.tables import Answer


@dataclass(frozen=True)
class VersionComparison:
    """Registered versions side by side.

    Parameters
    ----------
    versions
        Those compared, such as "nsclc-os/1 (champion)".
    rows
        What `penumbra compare --format csv` writes: of two versions each measure at each center with the paired difference, its interval and p; of others
        each version's C at each center, and the difference from the first.
    inside
        Each version on its own training patients, cross-fitted.
    differences
        Of two versions: params, data, settings and kept features that differ.
    remarks
        What has to be known before the numbers are read.
    """

    versions: tuple[str, ...]
    rows: "pd.DataFrame"
    inside: "pd.DataFrame"
    differences: "pd.DataFrame"
    remarks: tuple[str, ...]


def load(which: str | int = "champion", *, home: Path | str | None = None) -> Version:
    """Load a registered version.

    Parameters
    ----------
    which
        "champion" or another alias, a number, or a version with its model: "nsclc-os/3".
    home
        The state folder; None: PENUMBRA_HOME, or data/ of the project.

    Returns
    -------
    Version
        Ready to predict.

    Raises
    ------
    Refusal
        "version_registered": `no version or alias 9 of nsclc-os. ...`; "model_registered", "bundle_readable".

    Examples
    --------
    >>> import penumbra
    >>> champion = penumbra.load("champion", home="home")
    >>> champion.name, champion.version, champion.uri
    ('nsclc-os', 1, 'models:/nsclc-os/1')
    >>> champion.metrics["split"].iloc[0], champion.metrics["split"].iloc[-1]
    ('cross_fitted', 'train')
    """
    state = home_of(home)
    return Version(registry.load(state, which), state)


def models(name: str | None = None, *, home: Path | str | None = None) -> "pd.DataFrame":
    """List the registered versions with the C of each center.

    Parameters
    ----------
    name
        Of the registered model; None: the one that params.yaml names.
    home
        The state folder; None: PENUMBRA_HOME, or data/ of the project.

    Returns
    -------
    DataFrame
        What `penumbra models --format csv` writes: a row per version and center with alias, split, harrell_c, n and died.

    Raises
    ------
    Refusal
        "model_registered": `no version of nsclc-os is registered. ...`.

    Examples
    --------
    >>> import penumbra
    >>> listed = penumbra.models(home="home")
    >>> listed["version"].unique().tolist(), listed["split"].iloc[0]
    ([1], 'cross_fitted')
    """
    return _frame(model_rows(home_of(home), name))


def compare(*versions: "str | int | Version", home: Path | str | None = None) -> VersionComparison:
    """Compare registered versions on the patients that they scored, with the numbers that `penumbra compare` prints; no page is written.

    Parameters
    ----------
    *versions
        Two in depth, or more by their C; none: every version of the model that params.yaml names. As of `load`, or loaded ones.
    home
        The state folder; None: PENUMBRA_HOME, or data/ of the project.

    Returns
    -------
    VersionComparison
        Frames of the paired measures and of what differs. The look at patients outside the training centers is counted, as by the command.

    Raises
    ------
    Refusal
        "versions_differ", "one_model", "version_registered", "scored_by_both".

    Examples
    --------
    >>> import penumbra
    >>> standings = penumbra.compare(home="home")
    >>> standings.versions
    ('nsclc-os/1 (champion)',)
    >>> standings.rows.columns[:3].tolist()
    ['version', 'center', 'c']
    """
    import pandas as pd

    from penumbra.commands.compare import rows_of
    from penumbra.pipeline import comparison
    from penumbra.pipeline.settings import load_settings

    state = home_of(home)
    settings = load_settings(None, state)
    named = [f"{each.name}/{each.version}" if isinstance(each, Version) else str(each) for each in versions]
    compared = comparison.compare(state, named, settings.evaluate, settings.register.model)
    inside = _records(compared.inside, comparison.InsideRow)
    if isinstance(compared, comparison.Standings):
        return VersionComparison(tuple(entry.label for entry in compared.entries), _frame(rows_of(compared)), inside, pd.DataFrame(), ())
    labels = (compared.first.label, compared.second.label)
    return VersionComparison(labels, _frame(rows_of(compared)), inside, _records(compared.differences, registry.Difference), compared.remarks)


def predict(
    folder: Path | str,
    model: "str | int | Version" = "champion",
    *,
    center: str | None = None,
    age: float | None = None,
    stage: str | None = None,
    treatment: str | None = None,
    intent: str | None = None,
    clinical: Mapping[str, str] | None = None,
    home: Path | str | None = None,
) -> Prediction:
    """Score one patient from a DICOM or NIfTI folder; nothing is written.

    Parameters
    ----------
    folder
        Of one patient: CT and structure set, or ct.nii.gz and gtv.nii.gz.
    model
        As `which` of `load`, or a loaded version of this state folder.
    center
        The patient's, whose GTV names and recalibration hold; None: the name of the folder above.
    age, stage
        In years, and the overall stage I, II, III or IV, for a version that reads them.
    treatment, intent
        "radiotherapy", "surgery" or "systemic", and "curative" or "palliative"; None: what the center declares.
    clinical
        Column of features/clinical.yaml -> its value as in clinical.csv, for a version that reads it.
    home
        The state folder; None: PENUMBRA_HOME, or data/ of the project.

    Returns
    -------
    Prediction
        What `penumbra predict` shows: log_risk, risk_group and survival with their limits, and whether the version is for this patient.

    Raises
    ------
    Refusal
        "version_registered", and every rule of reading scans and of the certificate of a mask: `no structure is named as a GTV; ...`.

    Examples
    --------
    >>> import penumbra
    >>> prediction = penumbra.predict("simulated/east/E001", home="home")
    >>> prediction.version, prediction.applicability, sorted(prediction.survival)
    (1, 'inside', ['1y', '2y', '3y'])
    """
    which = f"{model.name}/{model.version}" if isinstance(model, Version) else str(model)
    return predict_folder(home_of(home), Path(folder), which, center, age=age, stage=stage, treatment=treatment, intent=intent, clinical=clinical)


def _frame(answer: "Answer") -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(list(answer.rows), columns=list(answer.columns))


def _records(rows: Sequence[Any], kind: type) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame([asdict(row) for row in rows], columns=[each.name for each in fields(kind)])
