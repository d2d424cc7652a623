"""The log of access: what it holds, and that whatever is done to it is found."""

import json
from pathlib import Path

import pytest

from penumbra.base.chained_log import HEAD, KEY, ChainedLog
from penumbra.base.refusal import Refusal
from penumbra.console import trail
from penumbra.console.sessions import Account
from penumbra.console.trail import Trail, log_of, seen, verdict

ANNA = Account("anna", "viewer", way="token")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Six entries, of two accounts and three patients."""
    notes = Trail(tmp_path)
    for number, patient in enumerate(("N001", "N002", "N001", "N003", "N001", "N002")):
        notes.saw(Account(f"user-{number % 2}", "viewer"), f"page-{number}", frozenset({patient}))
    return tmp_path


def lines(home: Path) -> list[bytes]:
    return (home / trail.FILE).read_bytes().splitlines(keepends=True)


def rewrite(home: Path, content: list[bytes]) -> None:
    (home / trail.FILE).write_bytes(b"".join(content))


def test_a_patient_is_found_by_name_and_cannot_be_read_off(home: Path) -> None:
    log = log_of(home)
    assert [entry["page"] for entry in seen(log, patient="N001")] == ["page-4", "page-2", "page-0"]
    assert [entry["account"] for entry in seen(log, account="user-1")] == ["user-1"] * 3
    for path in (home / "console").iterdir():
        assert b"N00" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0, "for its owner alone"
    assert verdict(home)[0]
    assert log_of(home).check().entries == 6
    elsewhere = ChainedLog(home / "elsewhere" / "log.jsonl")
    assert elsewhere.digest("N001") != log.digest("N001"), "without the key a digest says nothing"


def test_pages_of_many_patients_count_for_everybody(tmp_path: Path) -> None:
    notes = Trail(tmp_path)
    notes.saw(ANNA, "table", frozenset(f"N{number:03d}" for number in range(trail.MAX_NAMED + 1)))
    notes.saw(ANNA, "download", None)
    notes.saw(ANNA, "overview", frozenset())
    answers = list(seen(log_of(tmp_path), patient="N999"))
    assert [(entry["page"], entry["any"]) for entry in answers] == [("download", True), ("table", trail.MAX_NAMED + 1)]


def test_a_page_seen_again_within_a_minute_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes, patient = Trail(tmp_path), frozenset({"N001"})
    for _ in range(3):
        notes.saw(ANNA, "patient", patient)
    notes.saw(Account("bert", "viewer"), "patient", patient)
    assert log_of(tmp_path).check().entries == 2
    monkeypatch.setattr(trail, "ONCE_S", 0.0)
    notes.saw(ANNA, "patient", patient)
    assert log_of(tmp_path).check().entries == 3


@pytest.mark.parametrize("place", [0, 2, 5])
def test_an_edited_line_is_found(home: Path, place: int) -> None:
    content = lines(home)
    content[place] = content[place].replace(b"user-", b"User-")
    rewrite(home, content)
    whole, sentence = verdict(home)
    assert not whole
    assert f"entry {place + 1} was changed" in sentence
    assert f"{place} entries before it" in sentence


def test_a_removed_a_doubled_and_a_moved_line_are_found(home: Path) -> None:
    content = lines(home)
    for altered in (content[:2] + content[3:], content[:2] + content[1:], [*content[:2], content[3], content[2], *content[4:]], content[1:]):
        rewrite(home, altered)
        assert "removed, added or moved" in verdict(home)[1]


def test_a_chain_that_was_written_again_without_the_key_is_found(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Somebody leaves one entry out and computes every number and hash again, as anybody can."""
    other = ChainedLog(tmp_path_factory.mktemp("other") / "log.jsonl")
    for line in lines(home)[:2] + lines(home)[3:]:
        other.append({name: value for name, value in json.loads(line).items() if name not in ("n", "hash", "seal")})
    (home / trail.FILE).write_bytes(other.path.read_bytes())
    assert "was not written by penumbra" in verdict(home)[1]


@pytest.mark.parametrize("remaining", [0, 1, 5])
def test_a_log_that_was_cut_off_is_found_and_not_continued(home: Path, remaining: int) -> None:
    rewrite(home, lines(home)[:remaining])
    assert f"ends after entry {remaining}, but 6 were written" in verdict(home)[1]
    with pytest.raises(Refusal) as refused:
        Trail(home).note(ANNA, "signed in", {})
    assert refused.value.rule == "log_whole"
    assert len(lines(home)) == remaining, "a longer log would hide it"


def test_a_log_without_its_head_or_its_key_or_itself_is_found(home: Path) -> None:
    log = home / trail.FILE
    for part, words in ((log.with_suffix(HEAD), "head"), (log.with_suffix(KEY), "key"), (log, "gone")):
        saved = part.read_bytes()
        part.unlink()
        assert words in verdict(home)[1]
        part.write_bytes(saved)
        assert verdict(home)[0]
    log.with_suffix(HEAD).write_text(f"{3:012d} {json.loads(lines(home)[2])['hash']} {'0' * 32}\n")
    assert "was not written by penumbra" in verdict(home)[1]


def test_a_kill_between_entry_and_head_is_no_fault_and_the_log_continues(home: Path) -> None:
    head = (home / trail.FILE).with_suffix(HEAD)
    before = head.read_bytes()
    Trail(home).note(ANNA, "signed in", {})
    head.write_bytes(before)
    assert verdict(home)[0]
    Trail(home).note(ANNA, "signed out", {})
    assert log_of(home).check().entries == 8


def test_several_consoles_write_one_log(tmp_path: Path) -> None:
    import threading

    def write(number: int) -> None:
        notes = Trail(tmp_path)
        for place in range(10):
            notes.note(Account(f"user-{number}", "viewer"), "saw", {"page": f"page-{place}"})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checked = log_of(tmp_path).check()
    assert (checked.entries, checked.fault) == (40, "")


def test_a_log_that_cannot_be_written_keeps_the_page_back(tmp_path: Path) -> None:
    (tmp_path / "console").write_text("a file in the place of the folder")
    with pytest.raises(Refusal) as refused:
        Trail(tmp_path).saw(ANNA, "patient", frozenset({"N001"}))
    assert refused.value.rule == "log_written"


def test_a_line_that_a_crash_tore_is_dropped_and_a_confirmed_one_is_missed(home: Path) -> None:
    content = lines(home)
    rewrite(home, [*content, b'{"account":"an'])
    assert verdict(home)[0]
    Trail(home).note(ANNA, "signed in", {})
    assert log_of(home).check().entries == 7
    rewrite(home, [*lines(home)[:6], lines(home)[6][:40]])
    assert not verdict(home)[0]
    with pytest.raises(Refusal):
        Trail(home).note(ANNA, "signed in", {})
