"""Answers as tables that fit, and as files for other programs."""

import csv
import datetime as dt
import io
import itertools
import json
import math
import random
import re
import time
from collections.abc import Iterator
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from rich.cells import cell_len

from penumbra.base import cells, layout, tables

WIDTHS = (80, 100, 160)
FEATURE = "wavelet-LLH_glszm_SizeZoneNonUniformityNormalized"
WORDS = ("a", "patient", "überlebt", "患者", "e\u0301te\u0301", "x" * 23, "gtv_named", "Add", "-3.2", FEATURE, "👩‍⚕️")
STRANGE = ("\x1b[31mred\x1b[0m", "two\nlines", "a\tb", "bell\x07", "\u202eleft", "\x9b1m", "null\x00byte", "r\rn", "\u2028", "\xa0", "")


def written(table: pa.Table | tables.Answer, form: str) -> str:
    stream = io.StringIO()
    tables.write(table, form, stream)
    return stream.getvalue()


def test_a_list_in_csv_is_json_text() -> None:
    """`SELECT train_centers FROM model_versions` as CSV ended in a trace."""
    rows = list(csv.reader(io.StringIO(written(pa.table({"version": [1, 2, 3], "train_centers": [["east", "north"], [], None]}), "csv"))))
    assert rows == [["version", "train_centers"], ["1", '["east", "north"]'], ["2", "[]"], ["3", ""]]


def test_thirteen_hundred_columns_are_shown_one_a_line() -> None:
    """`SELECT * FROM radiomics LIMIT 2` printed one rule and nothing else."""
    names = ["patient", *(f"wavelet-HHH_glcm_Feature{i}" for i in range(1321))]
    for width in WIDTHS:
        lines = tables.render(names, [["N001", *([0.123456] * 1321)]] * 2, width=width).split("\n")
        assert any(line.split() == ["patient", "N001", "N001"] for line in lines)
        assert any(line.split() == ["wavelet-HHH_glcm_Feature7", "0.1235", "0.1235"] for line in lines)
        assert lines[-2].startswith("and 1282 more columns: wavelet-HHH_glcm_Feature39, ")
        assert "--format csv" in lines[-1]


def test_many_rows_keep_the_columns_that_fit_and_name_the_others() -> None:
    names = ["patient", "center", *(f"{FEATURE}{i}" for i in range(5))]
    text = tables.render(names, [["N001", "north", *range(5)]] * 6, width=80)
    assert text.split("\n")[0].split() == ["patient", "center", f"{FEATURE}0"]
    assert f"and 4 more columns: {FEATURE}1, ..." in text
    assert tables.render(names, [["N001", "north", *range(5)]] * 6, width=400).split("\n")[0].split() == names


def test_headers_are_never_broken_and_the_rule_is_as_wide_as_the_table() -> None:
    """`patients` printed its headers letter by letter: overal / l_stag / e."""
    names = ["patient", "center", "age", "sex", "histology", "t_stage", "n_stage", "m_stage", "overall_stage", "time", "event"]
    row = ["N001", "north", 66.1, "male", "squamous cell carcinoma", "1", "2", "0", "IIIA", 996.0, True]
    for width in (60, *WIDTHS):
        lines = tables.render(names, [row] * 9, width=width).split("\n")
        assert set(lines[0].split()) <= {*names, "[years]", "[days]"}
        table = list(itertools.takewhile(lambda line: not line.startswith("and "), lines))
        assert max(map(len, table)) == len(table[1])
        assert set(table[1]) == {" ", "─"}
    shown = tables.render(names, [row] * 9, width=160)
    assert "time [days]" in shown
    assert "age [years]" in shown
    assert " true" in shown


def test_advice_is_wrapped_at_its_blanks() -> None:
    advice = "Add the name of the GTV to this center in features/rois.yaml; `penumbra rois` on the center's folder shows the names as sent"
    lines = tables.render(["patient", "rule", "advice"], [["N001", "gtv_named", advice]] * 7, width=80).split("\n")
    assert " ".join(" ".join(line.split()) for line in lines[2:]).count(advice.split(";")[0].split(" ", 3)[0]) == 7
    assert " ".join(word for line in lines[2:5] for word in line.split() if word not in ("N001", "gtv_named")).startswith(advice[:90])


def random_tables() -> Iterator[tuple[list[str], list[list[object]]]]:
    dice = random.Random(20261126)

    def text() -> str:
        return " ".join(dice.choice(WORDS if dice.random() < 0.85 else STRANGE) for _ in range(dice.choice((1, 1, 2, 5, 30))))

    makers = (
        text,
        lambda: None,
        lambda: dice.randrange(10**9),
        lambda: dice.gauss(0, 1) * 10 ** dice.randrange(-9, 9),
        lambda: math.nan,
        lambda: dice.random() < 0.5,
        lambda: dt.datetime(2026, 1, 2, 3, 4, 5),
        lambda: [dice.random(), None, "x"],
        lambda: {"a": dice.random(), "b": [1, 2]},
        lambda: "".join(dice.choice("0123456789abcdef") for _ in range(64)),
        lambda: "x" * dice.randrange(1, 3000),
        lambda: json.dumps({"value": dice.random(), "names": ["a"] * 30}),
        lambda: bytes(range(20)),
        lambda: Decimal("1.23456789"),
    )
    for _ in range(60):
        columns, rows = dice.choice((1, 2, 5, 12, 60)), dice.choice((0, 1, 2, 5, 6, 40))
        kinds = [dice.choice(makers) for _ in range(columns)]
        yield [dice.choice(WORDS) + ("" if dice.random() < 0.9 else "\nn 72") for _ in kinds], [[kind() for kind in kinds] for _ in range(rows)]


@pytest.mark.parametrize("width", [40, *WIDTHS])
def test_no_line_is_wider_no_word_is_broken_and_nothing_reaches_the_terminal_but_text(width: int) -> None:
    for names, rows in random_tables():
        shown = tables.render(names, rows, "a title " * 20, width=width)
        words = {word for text in (*names, "a title ...") for word in cells.clean(text).split()}
        for header, texts, _ in cells.columns(names, rows):
            words |= {word for text in (header, *texts) for word in text.split()}
        assert all(letter.isprintable() or letter in "\n\u200d" for letter in shown)
        for line in shown.split("\n"):
            assert cell_len(line) <= width, (cell_len(line), line)
            assert not re.search(r"\d\.\d*[1-9]\d{4}|[1-9]\d*\.\d{4}", line), line  # five significant digits
            for word in line.split():
                whole = word in words or word.rstrip(",:") in words or word.startswith("─") or word in said(names)
                cut = word.endswith("…") and any(long.startswith(word[:-1]) for long in words if cell_len(long) > min(width // 2, 60))
                assert whole or cut, (word, line)


def said(names: list[str]) -> set[str]:
    """Words that are the table's own."""
    own = "and more column column: columns columns: columns row ... (no rows) marks what was cut; has it whole all; or name the you want --format csv …"
    return {*own.split(), *map(str, range(len(names) + 6))}


def test_a_cell_that_is_cut_says_so() -> None:
    text = tables.render(["x"], [["y" * 3000]], width=80)
    assert "…" in text
    assert "(3000 characters)" in text
    assert "--format csv has it whole" in tables.render(["x"], [["y" * 300]], width=80)
    assert "…" not in tables.render(["x", "name"], [[FEATURE, 1]], width=60)


def test_no_rows_are_said_to_be_none() -> None:
    assert tables.render(["patient", "rule"], []).split("\n")[-1] == " (no rows)"
    assert "more columns" in tables.render([f"column_{i}" for i in range(100)], [], width=80)


def test_probabilities_are_percent_and_p_as_the_field_prints_it() -> None:
    """`predictions` printed 5.875e-05 as a chance of being alive."""
    names = ["survival_2y", "lower_2y", "p", "q", "log_rank_p"]
    [line] = tables.render(names, [[5.875e-05, 0.614, 0.0304, 4e-9, 0.0049]], width=100).split("\n")[2:]
    assert line.split("  ") != []
    assert re.split(r"\s{2,}", line.strip()) == ["< 0.5 %", "61 %", "0.03", "< 0.001", "0.005"]
    limits = tables.render(["days", "survival", "lower", "upper"], [[730, 0.9999, 0.2, 1.0]], width=100).split("\n")[2]
    assert re.split(r"\s{2,}", limits.strip()) == ["730", "> 99.5 %", "20 %", "> 99.5 %"]
    metrics = tables.render(["metric", "value", "lower", "upper"], [["harrell_c", 0.7333333, 0.65, 0.81]], width=100).split("\n")[2]
    assert re.split(r"\s{2,}", metrics.strip()) == ["harrell_c", "0.7333", "0.65", "0.81"]
    assert cells.p_value(0.0496) == "0.050"
    assert cells.p_value(0.051) == "0.051"
    assert cells.p_value(1.0) == ">\u00a00.99"
    assert "0.0304" in written(tables.Answer(("p",), [(0.0304,)], (), 1), "csv")
    assert "996" in tables.render(["survival_days"], [[996.0]])
    assert "0.5" in tables.render(["survival"], [[0.5], [996.0]])


def test_digests_are_short_and_numbers_have_four_digits() -> None:
    digest = "7686aaceaf75" + "0" * 52
    assert tables.render(["digest"], [[digest]]).split("\n")[2].strip() == "7686aaceaf75"
    assert digest in written(pa.table({"digest": [digest]}), "csv")
    for value, shown in ((1.23456, "1.235"), (123456.78, "123500"), (5.875e-05, "5.875e-05"), (1.5e12, "1.5e+12"), (0.0, "0"), (-0.04999999, "-0.05")):
        assert cells.number(value) == shown
    assert cells.cell([3.0, 0.9765625]) == "[3, 0.9766]"
    assert cells.cell('{"dice": 0.87654321}') == "{dice: 0.8765}"
    assert cells.cell(12345678901) == "12345678901"


def test_times_are_in_the_zone_of_the_reader_and_csv_keeps_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        at = dt.datetime(2026, 11, 26, 11, 3, 27)
        assert tables.render(["at"], [[at]]).split("\n")[2].strip() == "2026-11-26 12:03 CET"
        assert tables.render(["at"], [[at.replace(month=7, tzinfo=dt.UTC)]]).split("\n")[2].strip() == "2026-07-26 13:03 CEST"
        assert "2026-11-26 11:03:27" in written(pa.table({"at": [at]}), "csv")
        monkeypatch.setenv("TZ", "<+0545>-05:45")
        time.tzset()
        assert cells.moment(at) == "2026-11-26\u00a016:48\u00a0UTC+0545"
        assert cells.moment(dt.datetime.max).startswith("9999-12-31")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_table_for_a_document() -> None:
    text = written(tables.Answer(("rule", "n", "survival"), [("a|b\nc", 3, 0.25), (None, None, None)], (), 2), "markdown")
    assert text == "| rule | n | survival |\n|---|---:|---:|\n| a\\|b<br>c | 3 | 25 % |\n| - | - | - |\n"


def test_an_answer_of_a_command_is_the_same_in_every_format() -> None:
    answer = tables.Answer.of([{"center": "east", "c": 0.7333333333333333, "facts": {"n": 3}}, {"center": "north", "c": None}])
    assert json.loads(written(answer, "json"))[0]["c"] == 0.7333333333333333
    assert next(iter(csv.DictReader(io.StringIO(written(answer, "csv"))))) == {"center": "east", "c": "0.7333333333333333", "facts": '{"n": 3}'}
    assert written(tables.Answer.of([], ("center", "c")), "csv").strip() == '"center","c"'
    assert json.loads(written(tables.Answer.of([], ("center",)), "json")) == []


def test_csv_is_what_arrow_writes() -> None:
    """Every digit, quotes and the empty text as before tables had a renderer of their own."""
    table = pa.table(
        {
            "x": [5.875e-05, math.nan, None, 0.1],
            "text": ['a "b"', "", None, "c,d\ne"],
            "at": [dt.datetime(2026, 1, 2, 3, 4, 5, 678901)] * 4,
            "ok": [True, False, None, True],
            "exact": [Decimal("1.50"), None, Decimal("2.25"), Decimal("0.00")],
        }
    )
    buffer = io.BytesIO()
    arrow_csv.write_csv(table, buffer)
    assert written(table, "csv") == buffer.getvalue().decode()
    assert written(table, "csv").splitlines()[1] == '0.00005875,"a ""b""",2026-01-02 03:04:05.678901,true,1.50'


def test_a_date_that_python_does_not_have_is_text() -> None:
    """`SELECT 'infinity'::TIMESTAMP` ended in a trace."""
    table = pa.table({"at": pa.array([2**63 - 1, None], pa.timestamp("us"))})
    assert "value out of range" in written(table, "table")
    assert json.loads(written(table, "json"))[1] == {"at": None}


def test_facts_are_wrapped_beside_their_names() -> None:
    text = tables.facts({"model": "nsclc-os", "log_risk": -4.104746, "sha256": "ab" * 32, "nested": {"left": "out"}, "remark": "word " * 40}, width=80)
    lines = text.split("\n")
    assert lines[0] == "model     nsclc-os"
    assert lines[1] == "log_risk  -4.105"
    assert lines[2] == f"sha256    {'ab' * 32}"
    assert all(len(line) <= 80 for line in lines)
    assert "left" not in text
    assert len(lines) == 3 + 3


def test_the_widths_of_columns_are_never_more_than_they_need() -> None:
    columns = [layout.Column("a", ["1 2 3"], False), layout.Column("b", ["word " * 30], False)]
    laid = layout.lay(columns, 80, 1)
    assert laid.shown == 2
    assert not laid.cut
    assert max(map(len, laid.lines)) <= 80


def test_the_limits_of_a_probability_are_no_certainty() -> None:
    assert [cells.percent(share) for share in (0.005, 1 - 0.995, 0.0051, 0.9949, 0.995)] == ["< 0.5 %", "< 0.5 %", "1 %", "99 %", "> 99.5 %"]
