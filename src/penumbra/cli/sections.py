"""The commands by purpose, and for each one sentence and what it reads, writes and costs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """One command in the help.

    Parameters
    ----------
    says
        One whole sentence, short enough for one line of 80 columns.
    reads, writes, costs
        For its own help; costs were measured on the simulated cohort (3 centers, 136 patients) on two cores of an AMD EPYC, 2026-11-26.
    """

    says: str
    reads: str
    writes: str
    costs: str


NOTHING = "nothing"
MEASURED = "on the simulated cohort, two cores"
SECTIONS: dict[str, dict[str, About]] = {
    "Build a model": {
        "init": About(
            "Make a project of your own, or update it.",
            "the defaults in the package",
            "the new folder, 70 kB; with --update --apply the project's declarations",
            "0.5 s",
        ),
        "run": About(
            "Do everything: from arrived centers to a report.",
            "the centers in incoming/ (or in --cohort), params.yaml, features/, models/",
            "images, the store, networks, a registered version and its report; existing results are not recomputed",
            "2 min 15 s; again, with nothing new, 10 s",
        ),
        "simulate": About("Write a simulated cohort of three centers.", "params.yaml (group simulate)", "the new folder, 150 MB", "13 s, 0.1 GB of memory"),
        "ingest": About(
            "Read a center's scans and clinical table.",
            "DICOM or NIfTI files and clinical.csv of every center in incoming/, or of FOLDER",
            "images on the grid, and patients, scans, contours and rejections in the store",
            "29 s for 146 patients; again, with nothing new, 6 s",
        ),
        "populate": About(
            "Compute the 1316 radiomics features that are missing.",
            "images of accepted patients",
            "features in the store",
            "35 s for 136 patients; only what is missing is computed",
        ),
        "stability": About(
            "Measure how stable each radiomics feature is.",
            "images of training patients, features in the store",
            "stability/, and feature_stability in the store",
            "3 min 48 s for 72 training patients next to other work, 197 s of processor time; again, with nothing new, 2 s",
        ),
        "train": About(
            "Train the network on the training centers.",
            "images and outcomes",
            "networks/, and deep features of every patient",
            "36 s with profile quick; paper and best are for a GPU or for hours",
        ),
        "fuse": About("Fit the survival models on the training centers.", "features and outcomes in the store", "fitted/", "7 s, 0.3 GB"),
        "evaluate": About("Measure every model at every center.", "fitted/ and the store", "manifests/evaluate.json", "37 s of one core, 0.4 GB"),
        "register": About("Register the model with its metrics and predictions.", "fitted/ and the evaluation", "MLflow and the store", "5 s, 0.5 GB"),
        "report": About("Write the report as one HTML page.", "the store, the registry, images", "reports/", "25 s, 1 GB"),
    },
    "Ask": {
        "console": About("Look at everything in a browser.", "the state folder", NOTHING, "3 s to start, 0.5 GB"),
        "sql": About("Query the store in SQL, once or interactively.", "the store", NOTHING, "0.7 s, 0.15 GB"),
        "patients": About("List the patients, most suspicious mask or highest risk first.", "the store, fitted/", NOTHING, "2 s, 0.3 GB"),
        "rois": About("List the structure names in a center's folder.", "the files of FOLDER, features/rois.yaml", NOTHING, "3 s for 39 patients, 0.1 GB"),
        "baseline": About("Show the baseline table of the patients (Table 2).", "the store", NOTHING, "2 s, 0.2 GB"),
        "gallery": About("Draw every mask, suspicious ones first.", "images", "reports/, one page per center", "25 s for 136 patients, 0.2 GB"),
        "drift": About("Show how far a center is from the training centers.", "features and outcomes in the store", "a row of looks", "4 s, 0.3 GB"),
    },
    "Compare and decide": {
        "models": About("List the registered versions with C per center.", "the registry and the store", NOTHING, "1 s, 0.2 GB"),
        "compare": About(
            "Compare registered versions side by side.",
            "the registry and the store",
            "rows of looks; a page in reports/ when two are compared",
            "3 s, 0.3 GB for one version",
        ),
        "card": About("Print the model card of a version, also for machines.", "the registry, the store, the report of the version", NOTHING, "2 s, 0.3 GB"),
        "audit": About(
            "Try what could be wrong with the served model's evidence.",
            "the store, fitted/, the evaluation; no outcome outside the training centers",
            "a page next to the report; refits in crossfitted/",
            "1 min of processor time; again, with nothing new, 10 s of it",
        ),
        "retrain": About(
            "Validate at a new center, update or refit, and decide.",
            "a center in incoming/ and the champion",
            "what penumbra run writes, the decision in the store, and the champion where the new version is better",
            "3 min 32 s for a center of 36 patients; 3 s where nothing is new",
        ),
        "set-aside": About(
            "Hold a center's retraining back.", "the center in incoming/", "manifests/aside-CENTER.json, and the reason in the store", "3 s, 0.3 GB"
        ),
        "promote": About("Make a registered version champion.", "the files of the version", "the alias in MLflow, and the reason in the store", "5 s, 0.3 GB"),
        "rollback": About("Restore the previous champion.", "the store", "the alias in MLflow, and the reason in the store", "5 s, 0.3 GB"),
        "monitor": About(
            "Measure versions on outcomes that came later.", "recorded predictions and outcomes", "metrics in the store, and a page", "3 s, 0.3 GB"
        ),
        "verify": About("Verify what a version was trained on.", "the store as of the version's commit", NOTHING, "2 s, 0.3 GB"),
    },
    "One patient": {
        "predict": About(
            "Predict one patient's risk and survival.",
            "the patient's folder, the version's files",
            "nothing; with --record one prediction",
            "3 s, 0.4 GB; with the network 5 s, 0.5 GB",
        ),
        "explain": About(
            "Explain one patient's answer.", "the store, or the patient's folder; the version's files", "nothing; with --html a page", "3 s, 0.4 GB"
        ),
        "forget": About("Delete a patient everywhere, for good.", "the state folder", "the store, images and manifests, without the patient", "11 s, 0.3 GB"),
    },
    "Without a store": {
        "extract": About(
            "Extract features from an image and a mask.",
            "the files, a parameter file of PyRadiomics",
            "the table of features",
            "2 s for one small ROI, most of it to start",
        ),
    },
    "Operate": {
        "status": About("Show where you are and what to type next.", "the state folder", NOTHING, "0.5 s, 0.1 GB"),
        "doctor": About("Check the installation and everything stored.", "everything below the state folder", "manifests/.last-check.json", "8 s, 0.3 GB"),
        "upgrade": About("Bring the state folder to this program's format.", "the store", "with --apply the store's schema", "1 s, 0.2 GB"),
        "rules": About("Explain a rule that an error names.", "the program", NOTHING, "2 s"),
        "serve": About(
            "Watch incoming/ and retrain when a center is complete.",
            "incoming/",
            "what penumbra retrain writes",
            "a Prefect server while it runs; each retraining costs as much as penumbra retrain",
        ),
        "serve-sql": About("Answer colleagues' SQL queries over HTTP.", "the store", NOTHING, "serve_sql.memory_mb of params.yaml per question"),
        "serve-model": About(
            "Answer with a model over HTTP: features, patients, scans.",
            "the version's files, the store",
            "the log of access, of a patient of the store",
            "up to 25 s to start next to other work; then 0.5 s for features, 3 s for a scan",
        ),
        "mlflow": About("Open MLflow's pages over this state folder.", "the registry", "what is changed on its pages", "up to 30 s to start"),
        "export": About("Write the whole store to a folder.", "the store", "the new folder", "1 s, 0.3 GB"),
        "import": About("Fill an empty store from an export.", "the folder of an export", "the store", "2 s, 0.3 GB"),
    },
}
OTHERS = "Others"  # of a command that is in no section


def about(command: str) -> About | None:
    """The entry of a command; None for one that is in no section."""
    return next((commands[command] for commands in SECTIONS.values() if command in commands), None)
