"""One writer, or one reader, of a store in a process of its own: started by test_many_processes and killed there.

    python -m tests.store.writing_process write HOME WRITER COUNT STOP_FILE
    python -m tests.store.writing_process append HOME WRITER COUNT STOP_FILE      the same, and leaves compacting to others
    python -m tests.store.writing_process read HOME STOP_FILE

Each continues until STOP_FILE is there, a writer at most COUNT batches, and each does its work at least once. A writer tells every acknowledged
commit on stdout. Batch k of a writer is the patient `<writer>-<k>` with a clinical record, an image and four vectors that can be computed from its
name; a batch that is there already is not news, so a killed writer can simply be started again.
"""

import sys
from pathlib import Path

import numpy as np

from penumbra import store

ROIS = ("gtv", "ring_3mm", "ring_6mm", "ring_9mm")
FEATURES = [f"f{i}" for i in range(100)]


def values(patient: str, roi: str) -> np.ndarray:
    return np.random.default_rng([*patient.encode(), *roi.encode()]).standard_normal(len(FEATURES))


def write(home: Path, writer: str, count: int, stop: Path, *, compacts: bool) -> None:
    with store.connect(home) as lake:
        for k in range(count):
            if k and stop.exists():
                return
            patient = f"{writer}-{k:03d}"
            lake.write(
                {
                    "patients": [
                        {"patient": patient, "center": writer, "time": float(k + 1), "event": True},
                        {"patient": "shared", "center": "all", "age": 1.0},
                    ],
                    "images": [{"patient": patient, "center": writer, "image_version": "i1"}],
                },
                run=writer,
                what="patient",
            )
            rows = [{"patient": patient, "center": writer, "roi": roi, "image_version": "i1", "values": values(patient, roi)} for roi in ROIS]
            number = store.write_features(lake, "radiomics", "v1", rows, features=FEATURES, run=writer)
            print(patient, number, flush=True)
            if not compacts:
                lake.commits = 0
            elif k % 3 == 2:
                lake.compact()


def read(home: Path, stop: Path) -> None:
    reads = 0
    while not (reads and stop.exists()):
        with store.connect(home, read_only=True) as lake:
            for _ in range(5):
                torn = lake.sql(
                    "SELECT patient, count(*) AS n FROM radiomics GROUP BY patient HAVING count(*) <> 4 "
                    "UNION ALL SELECT patient, 0 FROM patients ANTI JOIN images USING (patient) WHERE patient <> 'shared'"
                ).to_pylist()
                if torn:
                    raise SystemExit(f"half a commit was seen: {torn}")
                reads += 1
        store.query(home, "SELECT count(*) FROM radiomics_long")
    print("reads", reads, flush=True)


if __name__ == "__main__":
    if sys.argv[1] in ("write", "append"):
        write(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]), compacts=sys.argv[1] == "write")
    else:
        read(Path(sys.argv[2]), Path(sys.argv[3]))
