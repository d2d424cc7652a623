"""`penumbra rules`: what the rule that a refusal names means, what raises it, and what to do.

python -m penumbra.commands.rules    writes docs/rules.md
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from penumbra.base.faults import fault as fault
from penumbra.base.refusal import Refusal, capitalized, choose, ended

DECLARED = Path(__file__).resolve().with_name("rules.yaml")


@dataclass(frozen=True)
class Rule:
    """One rule: its section, what it means, what to do, and the fault as a list of excluded patients names it; "" where it excludes nobody."""

    name: str
    section: str
    means: str
    advice: str
    fault: str = ""


def declared() -> dict[str, Rule]:
    """Every rule by its name, in the order of rules.yaml."""
    from penumbra.base.yaml_files import read_yaml

    sections = read_yaml(DECLARED)
    return {
        name: Rule(name, section, capitalized(ended(means)), capitalized(ended(advice)), *fault)
        for section, rules in sections.items()
        for name, (means, advice, *fault) in rules.items()
    }


def one(name: str) -> tuple[Rule, list[str]]:
    """A rule, and the modules that raise it.

    Raises
    ------
    Refusal
        "rule_known" with the nearest name.
    """
    from penumbra.commands.raised import raised

    rules = declared()
    if name not in rules:
        raise Refusal("rule_known", f"no rule {name!r}", choose(name, rules, more="penumbra rules"))
    return rules[name], raised().get(name, [])


def page() -> str:
    """docs/rules.md."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    from penumbra.commands.raised import raised

    rules, by = declared(), raised()
    yield "# Rules"
    yield ""
    yield f"<!-- Written by python -m penumbra.commands.rules from src/penumbra/{DECLARED.name} and the program; do not edit. -->"
    yield ""
    yield "A refusal ends with the name of its rule: `Error: no relation 'patien'. Did you mean patients? (rule relation)`."
    yield "The relation `rejections` has it in the column `rule`. `penumbra rules NAME` shows one of them."
    for section in dict.fromkeys(rule.section for rule in rules.values()):
        faults = any(rule.fault for rule in rules.values() if rule.section == section)
        yield from ("", f"## {section}", "", f"| rule |{' as a reason |' if faults else ''} what it means | what to do | raised by |")
        yield f"|---|{'---|' if faults else ''}---|---|---|"
        for rule in rules.values():
            if rule.section == section:
                modules = ", ".join(f"`{module.removeprefix('penumbra.')}`" for module in by.get(rule.name, ()))
                yield f"| `{rule.name}` |{f' {_cell(rule.fault)} |' if faults else ''} {_cell(rule.means)} | {_cell(rule.advice)} | {modules} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    """Write docs/rules.md."""
    path = DECLARED.parents[3] / "docs" / "rules.md"
    path.write_text(page(), encoding="utf-8")
    print(f"{len(declared())} rules in docs/rules.md", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
