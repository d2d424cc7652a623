"""One registered version: what it reads, what it was measured with, and the risks that it gives to a frame of features."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra import registry, store
from penumbra.base.blocks import CLINICAL, DEEP, GTV, block_and_feature
from penumbra.base.refusal import Refusal
from penumbra.registry import LoadedModel
from penumbra.store.reading import OUTCOME

if TYPE_CHECKING:
    import pandas as pd

    from penumbra.pipeline.recalibration import Applied

METRICS = (  # cross-fitted first, apparent last
    "SELECT center, split, metric, value, lower, upper, n, events FROM model_metrics WHERE model = ? AND version = ?"
    " ORDER BY split <> 'cross_fitted', split = 'train', split, center, metric"
)
OUTCOMES = 'SELECT patient, center, "time", event FROM patients'


@dataclass(frozen=True, repr=False)
class Version:
    """A registered version, read from its files: plain JSON and arrays, nothing is unpickled.

    Parameters
    ----------
    loaded
        What `penumbra.registry.load` gives: every model of the version, settings and lineage.
    home
        The state folder it was loaded from.
    """

    loaded: LoadedModel
    home: Path = field(compare=False)

    def __repr__(self) -> str:
        return f"<Version {self.loaded.entry.label}: {self.served}, trained on {', '.join(self.loaded.entry.train_centers)}>"

    @property
    def name(self) -> str:
        """Name of the registered model."""
        return self.loaded.entry.model

    @property
    def version(self) -> int:
        """Its number."""
        return self.loaded.entry.version

    @property
    def aliases(self) -> tuple[str, ...]:
        """Such as ("champion",), when it was loaded."""
        return self.loaded.entry.aliases

    @property
    def served(self) -> str:
        """Name of the model that answers, such as "Combined"; `loaded.models` has every other one."""
        return self.loaded.served

    @property
    def uri(self) -> str:
        """MLflow's address of the version, for `mlflow.pyfunc.load_model` and `mlflow models serve`; see `tracking_uri`."""
        return f"models:/{self.name}/{self.version}"

    @property
    def tracking_uri(self) -> str:
        """Where MLflow finds it: MLFLOW_TRACKING_URI."""
        return registry.tracking_uri(self.home)

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that the served model reads, as `<block>.<feature>`: gtv.original_shape_MeshVolume."""
        return self.loaded.model.columns

    @property
    def metrics(self) -> "pd.DataFrame":
        """Every registered number: center, split, metric, value, lower, upper, n, events. Cross-fitted ones come first, apparent ones (train) last."""
        with store.connect(self.home, read_only=True) as lake:
            frame: pd.DataFrame = lake.sql(METRICS, [self.name, str(self.version)]).to_pandas()
        return frame

    @property
    def coefficients(self) -> "pd.DataFrame":
        """A row per column of the served model, the largest first.

        It has name, log, coefficient (log hazard per standard deviation), p and q of the univariate step, the share of refits that keep the column, and the
        lowest icc of its feature.
        """
        import pandas as pd

        from penumbra.pipeline.model_columns import ModelColumn, model_columns

        with store.connect(self.home, read_only=True) as lake:
            rows = model_columns(lake, self.loaded)
        return pd.DataFrame([asdict(row) for row in rows], columns=[each.name for each in fields(ModelColumn)])

    @property
    def cross_fitted(self) -> "pd.DataFrame":
        """Patient, center, time, event and log_risk of the training patients, each from fits that never saw the patient (the mean over the draws of folds).

        Their outcomes are those that the version was fitted on. No row where the state folder no longer has the fit.
        """
        import pandas as pd

        from penumbra.pipeline import people

        with store.connect(self.home, as_of=self.loaded.entry.store_commit) as lake:
            outcomes: pd.DataFrame = lake.sql(OUTCOMES).to_pandas()
        with store.connect(self.home, read_only=True) as lake:
            risks = people.cross_fitted(self.home, lake, self.loaded)
        rows = [(*person, risk) for person, risk in risks.items()]
        return outcomes.merge(pd.DataFrame(rows, columns=["patient", "center", "log_risk"]), on=["patient", "center"]).sort_values("patient", ignore_index=True)

    def read(self, *, center: str | None = None, outcome: bool = False) -> "pd.DataFrame":
        """Read the model's columns of everyone whose features the store has, under the definitions that the version was fitted on.

        Parameters
        ----------
        center
            Only its patients.
        outcome
            Add time (days) and event.

        Returns
        -------
        DataFrame
            Patient, center and `features`, for `predict`.

        Raises
        ------
        Refusal
            "features_stored": the store has no features of that definition.

        Examples
        --------
        >>> import penumbra
        >>> champion = penumbra.load("champion", home="home")
        >>> frame = champion.read(center="east")
        >>> frame.columns.tolist() == ["patient", "center", *champion.features]
        True
        """
        import pandas as pd

        from penumbra.pipeline import covariates
        from penumbra.pipeline.dataset import clinical_block, matrix_block

        declared = covariates.of_version(self.loaded.settings)
        with store.connect(self.home, read_only=True) as lake:
            by_person = covariates.own_values(lake) if declared else {}
            records = {row["patient"]: row for row in lake.rows("patients") if center in (None, row["center"])}
            matrices = {}
            for block in dict.fromkeys(block_and_feature(name)[0] for name in self.features):
                if block != CLINICAL:
                    version = self.loaded.feature_versions[block]
                    at = None if center is None else [center]
                    if block == DEEP:
                        matrices[block] = store.read_matrix(lake, "deep", GTV, version=version, centers=at)
                    else:
                        matrices[block] = store.read_matrix(lake, "radiomics", block, version=version, centers=at)
        patients = sorted(set(records).intersection(*(matrix.patients.tolist() for matrix in matrices.values())))
        if not patients:
            where = "" if center is None else f" of {center[:80]}"
            raise Refusal("features_stored", f"the store has no features{where} under the definition of {self.name}/{self.version}", "run penumbra populate")
        answers = [by_person.get((patient, records[patient]["center"]), {}) for patient in patients]
        clinical = covariates.extended(clinical_block(tuple(records[name] for name in patients)), declared, answers)
        blocks = [*(matrix_block(name, matrix, patients) for name, matrix in matrices.items()), clinical]
        values = {column: block.values[:, i] for block in blocks for i, column in enumerate(block.columns)}
        people = {name: [records[patient][name] for patient in patients] for name in ("patient", "center", *(OUTCOME if outcome else ()))}
        return pd.DataFrame(people | {name: values[name] for name in self.features})

    def predict(self, frame: Any, *, explain: bool = False, recalibrate: bool = True) -> "pd.DataFrame":
        """Score patients by their features, with the numbers that `penumbra predict` gives.

        Parameters
        ----------
        frame
            A row per patient with the columns of `features`, as `read` gives them; or rows per patient and roi, as `penumbra.read("radiomics")` gives them,
            for a version that reads radiomics alone. Of pandas, polars or Arrow. A column `center` decides whose probabilities are given, where they were
            fitted to single centers, and how features are harmonized where they are.
        explain
            Add lower and upper limits, percentile and contributions.
        recalibrate
            Fit probabilities to a center's later deaths where params.yaml asks for it (`retrain.recalibrate_from`), as `penumbra predict` does; False: as the
            version's MLflow server answers, which knows of the version alone.

        Returns
        -------
        DataFrame
            Patient and center where `frame` has them; applicability, log_risk (higher: earlier death), risk_group, survival at each time of the version
            (missing, with a reason, beyond the follow-up of its training patients). `recalibrated` says what fitted probabilities to a center, where something
            did.

        Raises
        ------
        Refusal
            "column_given": `Ridge needs the column gtv.original_shape_MeshVolume; ...`; "value_missing", "value_finite", "value_is_a_number"; "one_row_each"
            for two rows of one patient; "same_features" for features of another definition.

        Examples
        --------
        >>> import penumbra
        >>> champion = penumbra.load("champion", home="home")
        >>> answer = champion.predict(champion.read(center="east"))
        >>> answer.columns[:2].tolist(), sorted(answer["risk_group"].unique())
        (['patient', 'center'], ['high', 'low'])
        """
        import pandas as pd

        from penumbra.registry.scoring import Scoring
        from penumbra.registry.updates import CENTER, Update

        rows = frame if isinstance(frame, pd.DataFrame) else frame.to_pandas()
        if "roi" in rows and not set(self.features) <= set(rows):
            rows = self._by_patient(rows)
        loaded = self.loaded
        fitted = self._recalibrations(rows) if recalibrate else {}
        later = {center: Update("recalibration", fit.intercept, fit.slope, 0, fit.deaths) for center, fit in fitted.items()}
        scoring = Scoring(loaded.model, loaded.horizons_days, {**loaded.updates, **later}, loaded.refits)
        answer = pd.DataFrame(scoring.answer(rows, explain=explain, at_centers=True), index=rows.index)
        if fitted:
            answer["recalibrated"] = [str(fitted.get(center, "")) for center in rows[CENTER].astype(str)]
        for place, name in enumerate(name for name in ("patient", "center") if name in rows):
            answer.insert(place, name, rows[name])
        return answer

    def _recalibrations(self, rows: "pd.DataFrame") -> "dict[str, Applied]":
        """What fits probabilities to the centers of some patients, as `penumbra predict` applies it."""
        from penumbra.pipeline.recalibration import applied
        from penumbra.registry.updates import CENTER

        centers = rows[CENTER].astype(str).unique().tolist() if CENTER in rows else []
        fits = {center: applied(self.home, self.loaded, center) for center in centers}
        return {center: fit for center, fit in fits.items() if fit is not None}

    def _by_patient(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        """Rows by patient and roi as one per patient, with the columns of the model that are there."""
        keys = [name for name in ("patient", "center") if name in rows]
        if rows.duplicated([*keys, "roi"]).any():
            raise Refusal("one_row_each", "a patient has two rows of one roi", "choose one version of the features: radiomics, not radiomics_all")
        parts = []
        for block in dict.fromkeys(block_and_feature(name)[0] for name in self.features):
            of_block = rows[rows["roi"] == block]
            expected = self.loaded.feature_versions.get(block)
            if "version" in rows and expected is not None and (of_block["version"] != expected).any():
                fault = f"{self.name}/{self.version} reads {block} features of definition {expected}, not {of_block['version'].iloc[0]}"
                raise Refusal("same_features", fault, "read them with as_of, or let the version read them: version.read()")
            names = {feature: name for name in self.features for of, feature in [block_and_feature(name)] if of == block and feature in rows}
            if len(of_block):
                parts.append(of_block.set_index(keys)[list(names)].rename(columns=names))
        import pandas as pd

        return pd.concat(parts, axis=1).reset_index() if parts else rows[keys].drop_duplicates(ignore_index=True)
