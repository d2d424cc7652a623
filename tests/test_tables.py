"""Answers as files for other programs."""

import csv
import io

import pyarrow as pa

from penumbra import tables


def test_a_list_in_csv_is_json_text() -> None:
    """`SELECT train_centers FROM model_versions` as CSV ended in a trace."""
    stream = io.StringIO()
    tables.write(pa.table({"version": [1, 2, 3], "train_centers": [["east", "north"], [], None]}), "csv", stream)
    rows = list(csv.reader(io.StringIO(stream.getvalue())))
    assert rows == [["version", "train_centers"], ["1", '["east", "north"]'], ["2", "[]"], ["3", ""]]
