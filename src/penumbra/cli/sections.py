"""The commands by purpose, and for each one sentence and what it reads, writes and costs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """One command in the help.

    says    one whole sentence, short enough for one line of 80 columns.
    reads, writes, costs  for its own help; costs were measured on the simulated cohort (3 centers, 136 patients) on two cores of an AMD EPYC, 2026-11-26.
    """

    says: str
    reads: str
    writes: str
    costs: str


NOTHING = "nothing"
SECTIONS: dict[str, dict[str, About]] = {
    "Build a model": {
        "run": About(
            "Do everything: from arrived centers to a report.",
            "the centers in incoming/ (or in --cohort), params.yaml, features/, models/",
            "images, the store, networks, a registered version and its report; existing results are not recomputed",
            "",
        ),
        "simulate": About("Write a simulated cohort of three centers.", "params.yaml (group simulate)", "the new folder, 0.6 GB", ""),
        "ingest": About(
            "Read a center's scans and clinical table.",
            "DICOM or NIfTI files and clinical.csv of every center in incoming/, or of FOLDER",
            "images on the grid, and patients, scans, contours and rejections in the store",
            "",
        ),
        "populate": About("Compute the 1316 radiomics features that are missing.", "images of accepted patients", "features in the store", ""),
        "train": About("Train the network on the training centers.", "images and outcomes", "networks/, and deep features of every patient", ""),
        "fuse": About("Fit the survival models on the training centers.", "features and outcomes in the store", "fitted/", ""),
        "evaluate": About("Measure every model at every center.", "fitted/ and the store", "manifests/evaluate.json", ""),
        "register": About("Register the model with its metrics and predictions.", "fitted/ and the evaluation", "MLflow and the store", ""),
        "report": About("Write the report as one HTML page.", "the store, the registry, images", "reports/", ""),
    },
    "Ask": {
        "sql": About("Query the store in SQL, once or interactively.", "the store", NOTHING, ""),
        "rois": About("List the structure names in a center's folder.", "the files of FOLDER, features/rois.yaml", NOTHING, ""),
        "baseline": About("Show the baseline table of the patients (Table 2).", "the store", NOTHING, ""),
        "gallery": About("Draw every mask, suspicious ones first.", "images", "reports/, one page per center", ""),
        "drift": About("Show how far a center is from the training centers.", "features and outcomes in the store", NOTHING, ""),
    },
    "Compare and decide": {
        "models": About("List the registered versions with C per center.", "the registry and the store", NOTHING, ""),
        "compare": About("Compare registered versions side by side.", "the registry and the store", "a page in reports/ when two are compared", ""),
        "retrain": About(
            "Validate at a new center, refit, compare and decide.",
            "a center in incoming/ and the champion",
            "what penumbra run writes, the decision in the store, and the champion where the new version is better",
            "",
        ),
        "promote": About("Make a registered version champion.", "the files of the version", "the alias in MLflow, and the reason in the store", ""),
        "rollback": About("Restore the previous champion.", "the store", "the alias in MLflow, and the reason in the store", ""),
        "monitor": About("Measure versions on outcomes that came later.", "recorded predictions and outcomes", "metrics in the store", ""),
        "verify": About("Verify what a version was trained on.", "the store as of the version's commit", NOTHING, ""),
    },
    "One patient": {
        "predict": About("Predict one patient's risk and survival.", "the patient's folder, the version's files", "nothing; with --record one prediction", ""),
        "forget": About("Delete a patient everywhere, for good.", "the state folder", "the store, images and manifests, without the patient", ""),
    },
    "Operate": {
        "status": About("Show where you are and what to type next.", "the state folder", NOTHING, ""),
        "doctor": About("Check the installation and everything stored.", "everything below the state folder", "manifests/.last-check.json", ""),
        "rules": About("Explain a rule that an error names.", "the program", NOTHING, ""),
        "serve": About(
            "Watch incoming/ and retrain when a center is complete.",
            "incoming/",
            "what penumbra retrain writes",
            "a Prefect server while it runs; each retraining costs as much as penumbra retrain",
        ),
        "serve-sql": About("Answer colleagues' SQL queries over HTTP.", "the store", NOTHING, "serve_sql.memory_mb of params.yaml per question"),
        "export": About("Write the whole store to a folder.", "the store", "the new folder", ""),
        "import": About("Fill an empty store from an export.", "the folder of an export", "the store", ""),
    },
}
OTHERS = "Others"  # of a command that is in no section


def about(command: str) -> About | None:
    """The entry of a command; None for one that is in no section."""
    return next((commands[command] for commands in SECTIONS.values() if command in commands), None)
