"""Clinical tables as centers write them. CASES is the list a reader can scan: what the table holds, what is read, what is refused."""

import re
from pathlib import Path

import pytest
import yaml

from penumbra.base.refusal import Refusal
from penumbra.cohort.clinical import ClinicalTable, InclusionRules, read_clinical
from penumbra.cohort.simulate import Truth

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT / ".." / "shared"
OURS = "patient,age,sex,histology,t_stage,n_stage,m_stage,overall_stage,time,event"
AEN = (
    "PatientID,age,clinical.T.Stage,Clinical.N.Stage,Clinical.M.Stage,Overall.Stage,Histology,gender,Survival.time,deadstatus.event\n"
    "LUNG1-001,78.7515,2,3,0,IIIb,large cell,male,2165,1\n"
    "LUNG1-002,NA,2,0,0,I,squamous cell carcinoma,female,155,1\n"
)


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "clinical.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder: Path, content: str | bytes, **options: object) -> ClinicalTable:
    return read_clinical(write(folder, content), **options)  # type: ignore[arg-type]


def test_our_columns(tmp_path: Path) -> None:
    table = read(tmp_path, f"{OURS}\nP1,64.5,F,Adenocarcinoma,2,1,0,,512,1\nP2,,male,,,,,3b,90.5,0\n")
    first, second = table.records
    assert (first.patient, first.age, first.sex, first.histology) == ("P1", 64.5, "female", "adenocarcinoma")
    assert (first.t_stage, first.n_stage, first.m_stage, first.overall_stage, first.stage_edition) == ("2", "1", "0", "IIA", "ajcc7")
    assert (first.time, first.event) == (512.0, True)
    assert (second.age, second.histology, second.overall_stage, second.stage_edition, second.time, second.event) == (*(None, None, "IIIB", None, 90.5, False),)
    assert table.refused == ()


def test_the_columns_of_nsclc_radiomics(tmp_path: Path) -> None:
    first, second = read(tmp_path, AEN).records
    assert (first.patient, first.age, first.sex, first.histology, first.overall_stage) == ("LUNG1-001", 78.7515, "male", "large cell", "IIIB")
    assert (first.time, first.event) == (2165.0, True)
    assert (second.age, second.overall_stage) == (None, "I")


# One patient P, whose columns time and event hold what the case says.
REFUSED_CELLS = [
    ("", "1", "survival_missing"),
    ("NA", "1", "survival_missing"),
    ("unknown", "0", "survival_missing"),
    ("-30", "1", "time_not_positive"),
    ("0", "1", "time_not_positive"),
    ("0.0", "0", "time_not_positive"),
    ("two years", "1", "time_a_number"),
    ("2011-03-04", "1", "time_a_number"),
    ("inf", "1", "time_a_number"),
    ('"1,200"', "1", "time_a_number"),
    ("400000", "1", "time_plausible"),
    ("512", "", "event_missing"),
    ("512", "NaN", "event_missing"),
    ("512", "lost", "event_known"),
]


@pytest.mark.parametrize(("time", "event", "rule"), REFUSED_CELLS)
def test_an_outcome_that_cannot_be_understood_refuses_the_patient(tmp_path: Path, time: str, event: str, rule: str) -> None:
    table = read(tmp_path, f"patient,time,event\nP,{time},{event}\nQ,100,0\n")
    assert [(entry.patient, entry.refusal.rule) for entry in table.refused] == [("P", rule)]
    assert [record.patient for record in table.records] == ["Q"]
    assert "2011-03-04" not in str(table.refused)  # a date may identify a person


@pytest.mark.parametrize(
    ("text", "died"), [("1", True), ("0", False), ("1.0", True), ("TRUE", True), ("no", False), ("Dead", True), ("alive", False), ("censored", False)]
)
def test_events_as_written(tmp_path: Path, text: str, died: bool) -> None:
    assert read(tmp_path, f"patient,time,event\nP,10,{text}\n").records[0].event is died


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("Adenocarcinoma", "adenocarcinoma"),
        ("adeno-CA", "adenocarcinoma"),
        ("8140/3", "adenocarcinoma"),
        ("squamous cell carcinoma", "squamous cell carcinoma"),
        ("Squamous Cell Ca", "squamous cell carcinoma"),
        ("SCC", "squamous cell carcinoma"),
        ("Adenosquamous carcinoma", "adenosquamous"),
        ("large cell", "large cell"),
        ("Large-cell carcinoma", "large cell"),
        ("nos", "nos"),
        ("NSCLC NOS (not otherwise specified)", "nos"),
        ("non-small cell lung cancer", "nos"),
        ("small cell", "small cell"),
        ("NA", None),
        ("mesothelioma", None),
        ("not adenocarcinoma", None),
        ("squamous; adeno", None),
        ("large cell neuroendocrine", None),
    ],
)
def test_histologies_as_written(tmp_path: Path, text: str, canonical: str | None) -> None:
    assert read(tmp_path, f"patient,histology,time,event\nP,{text},10,1\n").records[0].histology == canonical


def test_a_covariate_that_cannot_be_understood_counts_as_missing_and_is_counted(tmp_path: Path) -> None:
    content = f"{OURS}\nP,640,diverse,cheese,5,4,3,V,512,1\n"
    table = read(tmp_path, content)
    record = table.records[0]
    assert (record.age, record.sex, record.histology, record.t_stage, record.n_stage, record.m_stage, record.overall_stage) == (None,) * 7
    assert sum(note.startswith("1 values of") for note in table.notes) == 7
    assert not any(word in " ".join(table.notes) for word in ("640", "diverse", "cheese"))


def test_units_are_declared_never_guessed(tmp_path: Path) -> None:
    plain = "patient,time,event\nP,12,1\n"
    assert read(tmp_path, plain).records[0].time == 12
    assert read(tmp_path, plain, time_unit="months").records[0].time == pytest.approx(365.25)
    assert read(tmp_path, plain, time_unit="years").records[0].time == pytest.approx(4383)
    named = "patient,survival_months,event\nP,12,1\n"
    assert read(tmp_path, named).records[0].time == pytest.approx(365.25)
    assert read(tmp_path, "patient,survival_days,event\nP,12,1\n", time_unit="months").records[0].time == 12
    each = read(tmp_path, "patient,time,time_unit,event\nP,12,months,1\nQ,12,days,1\nR,12,weeks,1\nS,12,,1\n")
    assert [record.time for record in each.records] == [pytest.approx(365.25), 12, 12]
    assert [(entry.patient, entry.refusal.rule) for entry in each.refused] == [("R", "time_unit")]
    both = read(tmp_path, "patient,survival_months,time_unit,event\nP,12,days,1\nQ,12,,1\n")
    assert [entry.refusal.rule for entry in both.refused] == ["time_unit"]
    assert [record.patient for record in both.records] == ["Q"]
    with pytest.raises(Refusal, match="'weeks' is not one of days, months, years"):
        read(tmp_path, plain, time_unit="weeks")


@pytest.mark.parametrize(
    ("content", "time"),
    [
        ("patient;time;event\nP;1.200;1\n", None),
        ("patient;age;time;event\nP;60,5;1.200;1\n", None),
        ("patient;age;time;event\nP;60.5;1.200;1\n", 1.2),
        ("patient;age;time;event\nP;60,5;1,200;1\n", 1.2),
        ('patient,time,event\nP,"1,200",1\n', None),
        ("patient,time,event\nP,1.200,1\n", 1.2),
    ],
)
def test_a_thousand_or_one_and_a_fifth(tmp_path: Path, content: str, time: float | None) -> None:
    """Read only where the table shows elsewhere which sign is its decimal sign."""
    table = read(tmp_path, content)
    assert [record.time for record in table.records] == ([] if time is None else [time])
    assert [entry.refusal.rule for entry in table.refused] == (["time_a_number"] if time is None else [])


SAME_TABLE = [
    ("byte order mark", b"\xef\xbb\xbfpatient,age,histology,time,event\nP,64.5,nos,512.5,1\n"),
    ("semicolons and decimal commas", b"patient;age;histology;time;event\nP;64,5;nos;512,5;1\n"),
    ("tabs", b"patient\tage\thistology\ttime\tevent\nP\t64.5\tnos\t512.5\t1\n"),
    ("quoted decimal commas", b'patient,age,histology,time,event\nP,"64,5",nos,"512,5",1\n'),
    ("UTF-16", "patient,age,histology,time,event\nP,64.5,nos,512.5,1\n".encode("utf-16")),
    ("Windows line ends and blanks", b"patient , age,histology,time,event\r\n P ,64.5 , nos,512.5, 1\r\n\r\n,,,,\r\n"),
    ("Windows-1252 in a column that is not read", b"patient,age,histology,time,event,ort\nP,64.5,nos,512.5,1,M\xfcnster\n"),
    ("a line of Excel's own", b"sep=;\r\npatient;age;histology;time;event\r\nP;64,5;nos;512,5;1\r\n"),
    ("carriage returns alone", b"patient,age,histology,time,event\rP,64.5,nos,512.5,1\r"),
    ("a unit in brackets", b"patient,age (years),histology,survival time (days),event\nP,64.5,nos,512.5,1\n"),
    ("upper case and points", b"PATIENT.ID,AGE,Histology,Survival.Time,Event\nP,64.5,nos,512.5,1\n"),
]


@pytest.mark.parametrize(("case", "content"), SAME_TABLE, ids=[case for case, _ in SAME_TABLE])
def test_the_same_table_in_another_format(tmp_path: Path, case: str, content: bytes) -> None:
    record = read(tmp_path, content).records[0]
    assert (record.patient, record.age, record.histology, record.time, record.event) == ("P", 64.5, "nos", 512.5, True), case


UNUSABLE = [
    ("no event column", "patient,time\nP,1\n", "clinical_columns", "no column for event; found: patient, time"),
    ("two columns for time", "patient,time,survival_days,event\nP,1,2,1\n", "clinical_columns", "2 columns for time: time, survival_days"),
    ("only a header", "patient,time,event\n", "clinical_readable", "no rows below a header"),
    ("empty", "", "clinical_readable", "no rows"),
    ("a workbook", b"PK\x03\x04rest", "clinical_readable", "a spreadsheet"),
    ("an open quote", 'patient,time,event\n"P,1,1\n', "clinical_readable", "not a table"),
    ("events of 1 and 2", "patient,time,event\nP,1,1\nQ,2,2\n", "event_coded", "events of 1 and 2"),
    ("binary", b"\x00\x01\x81\x00" * 50, "clinical_readable", "characters"),
]


@pytest.mark.parametrize(("case", "content", "rule", "text"), UNUSABLE, ids=[case for case, *_ in UNUSABLE])
def test_a_table_that_cannot_be_used_says_why(tmp_path: Path, case: str, content: str | bytes, rule: str, text: str) -> None:
    with pytest.raises(Refusal, match=text) as refused:
        read(tmp_path, content)
    assert refused.value.rule == rule, case


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"no clinical\.csv"):
        read_clinical(tmp_path / "clinical.csv")


def test_a_patient_in_two_rows_and_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    table = read(tmp_path, "patient,time,event\nP,10,1\np,20,1\nQ,10\nR,10,1,extra\n,10,1\n../S,10,1\nT,10,1\n")
    assert [record.patient for record in table.records] == ["T"]
    assert {entry.patient: entry.refusal.rule for entry in table.refused} == {
        "P": "patient_twice",
        "p": "patient_twice",
        "Q": "event_missing",
        "R": "row_shape",
        "row 6": "patient_id",
        "row 7": "patient_id",
    }


def test_inclusion_rules_are_off_unless_they_are_asked_for(tmp_path: Path) -> None:
    content = f"{OURS}\nP,64,F,adeno,2,1,0,,512,1\nQ,17,F,SCC,2,1,0,,512,1\nR,64,F,nos,2,1,0,,512,1\nS,,F,SCC,2,1,0,,512,1\nT,64,,SCC,2,1,0,,5,1\n"
    assert len(read(tmp_path, content).records) == 5
    rules = InclusionRules(histologies=("adenocarcinoma", "squamous"), minimum_age=18, complete=("sex",))
    table = read(tmp_path, content, inclusion=rules)
    assert [record.patient for record in table.records] == ["P"]
    assert {entry.patient: entry.refusal.rule for entry in table.refused} == {
        "Q": "age_included",
        "R": "histology_included",
        "S": "age_included",
        "T": "record_complete",
    }
    declared = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["cohort"]["inclusion"]
    advised = {name for entry in table.refused for name in re.findall(r"cohort\.inclusion\.(\w+)", entry.refusal.advice)}
    assert advised == set(declared)  # the advice names the params as they are called
    with pytest.raises(Refusal, match="'cheese' is not a known histology"):
        InclusionRules(histologies=("cheese",))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("age", {"17": 17.0, "64.5": 64.5, "0": None, "-3": None, "121": None, "old": None, "64-70": None}),
        ("sex", {"F": "female", "Male": "male", "x": None}),
        ("histology", {"SCC": "squamous cell carcinoma", "cheese": None}),
        ("t_stage", {"cT2a": "2A", "T7": None}),
        ("n_stage", {"N3": "3", "N5": None}),
        ("m_stage", {"M1b": "1B", "2": None}),
        ("overall_stage", {"Stage IIIb": "IIIB", "V": None}),
    ],
)
def test_types_ranges_and_allowed_values_of_covariates(tmp_path: Path, column: str, values: dict[str, object]) -> None:
    """A value outside counts as missing, is counted in a note, and refuses nobody."""
    rows = "".join(f"P{i},100,1,{text}\n" for i, text in enumerate(values))
    table = read(tmp_path, f"patient,time,event,{column}\n{rows}")
    assert [getattr(record, column) for record in table.records] == list(values.values())
    wrong = sum(value is None for value in values.values())
    assert f"{wrong} values of {column} were not understood and count as missing." in table.notes


def test_longer_follow_up_is_another_version_of_the_record(tmp_path: Path) -> None:
    early = read(tmp_path, "patient,time,event\nP,100,0\n").records[0]
    again = read(tmp_path, "event,patient,time\n0,P,100.0\n").records[0]
    later = read(tmp_path, "patient,time,event\nP,300,1\n").records[0]
    assert early.version == again.version != later.version


def test_other_columns_are_never_read(tmp_path: Path) -> None:
    table = read(tmp_path, "patient,name,birth_date,time,event\nP,Oldenkamp,1940-01-02,10,1\nQ,Brightwater,1941-01-02,,1\n")
    assert "2 other columns were not read." in table.notes
    assert (
        "Not used: ECOG, treatment; features/clinical.yaml can declare them."
        in read(tmp_path, "patient,ECOG,name,time,event,treatment,\nP,1,Oldenkamp,10,1,RT,\n").notes
    )
    assert not any(word in repr(table) for word in ("Oldenkamp", "Brightwater", "1940", "birth"))


@pytest.mark.slow
def test_the_simulated_tables_refuse_whom_the_truth_says(cohort: tuple[Path, Truth]) -> None:
    folder, truth = cohort
    for center in ("north", "east", "south"):
        table = read_clinical(folder / center / "clinical.csv")
        expected = {r.patient: r.rule for r in truth.refusals if r.center == center and r.kind in ("survival_missing", "time_negative")}
        assert {entry.patient: entry.refusal.rule for entry in table.refused} == expected
        true = {p.patient: p.course for p in truth.patients}
        for record in table.records:
            if record.patient in true:
                assert (record.time, record.event) == (true[record.patient].time, true[record.patient].event)


@pytest.mark.parametrize(("center", "patients", "events"), [("maastro", 134, 86), ("radiogenomics", 81, 27)])
def test_real_tables_lose_nobody(center: str, patients: int, events: int) -> None:
    path = SHARED / "data" / "nsclc" / center / "clinical.csv"
    if not path.is_file():
        pytest.skip("the real cohort is not next to the repository")
    table = read_clinical(path)
    assert table.refused == ()
    assert len(table.records) == patients
    assert sum(record.event for record in table.records) == events
    assert sum(record.overall_stage is None for record in table.records) == {"maastro": 3, "radiogenomics": 0}[center]
    assert {record.histology for record in table.records} <= {None, "adenocarcinoma", "squamous cell carcinoma", "large cell", "nos"}
