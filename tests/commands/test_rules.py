"""Every rule that a refusal, a remark or a finding can name is declared once, documented, and raised by somebody."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from penumbra.base.yaml_files import read_yaml
from penumbra.cli import main
from penumbra.commands import raised
from penumbra.commands.rules import DECLARED, declared, page

ROOT = Path(__file__).resolve().parents[2]


def test_what_the_program_raises_is_declared_and_what_is_declared_is_raised() -> None:
    found = raised.raised()
    assert len(found) > 200
    assert sorted(set(found) - set(declared())) == [], "raised, and missing in src/penumbra/commands/rules.yaml"
    assert sorted(set(declared()) - set(found)) == [], "in src/penumbra/commands/rules.yaml, and raised by nobody"


def test_the_documentation_is_what_the_declaration_says() -> None:
    assert (ROOT / "docs" / "rules.md").read_text(encoding="utf-8") == page(), "run python -m penumbra.commands.rules"
    sections = read_yaml(DECLARED)
    assert sum(map(len, sections.values())) == len(declared()), "a rule is in two sections"
    for rule in declared().values():
        assert len(rule.means) > 15
        assert len(rule.advice) > 10
        assert not any(mark in text for text in (rule.means, rule.advice) for mark in ("..  ", ";.", ",.", "!."))


def test_a_new_rule_is_found_wherever_it_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As text, as a constant of its own or another module, in a conditional, as an argument of a function that raises it, from a table."""
    (tmp_path / "penumbra").mkdir()
    (tmp_path / "penumbra" / "one.py").write_text(
        "RULE, ADVICE = 'of_two', 'x'\nOWN = 'own_constant'\nTABLE = {1: 'from_table'}\n"
        "def f(rule):\n    raise Refusal(rule, '', '')\n"
        "def g():\n    f('as_argument')\n    raise Refusal('as_text', '', '')\n"
        "def h(x):\n    raise Refusal('one' if x else 'other', '', '')\n"
        "def i(n):\n    name = TABLE[n]\n    raise Refusal(name, '', '')\n"
        "def j():\n    raise Refusal(OWN, '', '')\n"
    )
    (tmp_path / "penumbra" / "two.py").write_text("from penumbra.one import RULE\nraise Refusal(RULE, '', '')\nraise Refusal(refusal.rule, '', '')\n")
    monkeypatch.setattr(raised, "PACKAGE", tmp_path / "penumbra")
    raised.raised.cache_clear()
    try:
        found = raised.raised()
    finally:
        raised.raised.cache_clear()
    one = {"own_constant", "from_table", "as_argument", "as_text", "one", "other"}
    assert found == {**{name: ["penumbra.one"] for name in sorted(one)}, "of_two": ["penumbra.two"]}


def test_the_command_shows_all_one_and_the_nearest() -> None:
    runner = CliRunner()
    shown = runner.invoke(main, ["rules"])
    assert shown.exit_code == 0
    assert all(name in shown.stdout for name in declared())
    one = runner.invoke(main, ["rules", "gtv_named"])
    assert one.exit_code == 0
    assert "features/rois.yaml" in one.stdout
    assert "penumbra.imaging.names" in one.stdout
    wrong = runner.invoke(main, ["rules", "gtv_name"])
    assert wrong.exit_code == 1
    assert wrong.stderr.startswith("Error: no rule 'gtv_name'. Did you mean gtv_named? ")
