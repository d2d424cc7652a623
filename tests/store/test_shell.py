"""The conversation with the store, typed as a person would."""

import io
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from penumbra import store
from penumbra.refusal import Refusal
from penumbra.store.shell import HISTORY, Completions, converse, keywords, relation_columns


def typed(home: Path, text: str) -> str:
    out = io.StringIO()
    with create_pipe_input() as source:
        source.send_text(text)
        converse(home, out, source=source, screen=DummyOutput())
    return out.getvalue()


def test_a_conversation(own: Path) -> None:
    said = typed(
        own,
        "\\format csv\rSELECT center, count(*) AS n\rFROM patients GROUP BY center ORDER BY center;\r"
        "DROP TABLE patients;\r\\format table\rSELECT repeat('x', 3000) AS x;\r\\format csv\r"
        "\\as-of 0\rSELECT count(*) AS n FROM patients\r\r\\as-of nsclc-os/7\r\\?\r\\q\r",
    )
    assert '"center","n"\n"east",4\n"north",6\n"south",3\n' in said
    assert "read_only_sql: DROP is not a question" in said
    assert "(3000 characters)" in said
    assert '"n"\n0\n' in said
    assert "no version 'nsclc-os/7' in the store. registered: nsclc-os/1" in said
    assert "\\format csv " in said
    history = own / HISTORY
    assert "+DROP TABLE patients;" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_completion_knows_the_columns_of_what_is_named(filled: Path) -> None:
    completions = Completions(relation_columns(filled), keywords(filled))

    def offered(text: str) -> list[str]:
        return [completion.text for completion in completions.get_completions(Document(text), CompleteEvent())]

    assert offered("SELECT * FROM pat") == ["patients"]
    assert offered("DESCRI") == ["DESCRIBE"]
    assert "age" in offered("FROM patients SELECT ag")
    assert "age" not in offered("FROM images SELECT ag")
    assert '"wavelet-LLH_glcm_Contrast"' in offered("FROM radiomics SELECT wave")


def test_as_of_by_version_alias_and_commit(filled: Path) -> None:
    assert store.commit_of(filled, "3") == 3
    assert store.commit_of(filled, "nsclc-os/1") == store.commit_of(filled, "nsclc-os@champion") == store.commit_of(filled, "champion") == 4
    with pytest.raises(Refusal, match="version_registered"):
        store.commit_of(filled, "nsclc-os/9")
