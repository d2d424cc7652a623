"""An own center: one row per patient in a table, one folder of scans per patient. `python examples/own_center.py TABLE.csv SCANS NAME`."""

import subprocess
import sys
from pathlib import Path

import pandas as pd

import penumbra

table, scans, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
theirs = pd.read_csv(table)
columns = {"ID": "patient", "Age": "age", "Sex": "sex", "Months": "survival_months", "Dead": "event"}
theirs.rename(columns=columns)[list(columns.values())].to_csv(scans / "clinical.csv", index=False)
subprocess.run([sys.executable, "-m", "penumbra.cli", "ingest", str(scans), "--center", name], check=True)
print(penumbra.read("patients", center=name, columns=["age", "time", "event"]).to_string(index=False))
print(penumbra.read("rejections", center=name, columns=["rule", "found"]).to_string(index=False))
