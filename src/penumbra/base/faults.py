"""What a rule that was broken means in a few words, for lists of excluded patients: "no structure named as a GTV", where the rule is gtv_named."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

DECLARED = Path(__file__).resolve().parents[1] / "commands" / "rules.yaml"  # next to the command that explains them; data, not code


def fault(rule: str) -> str:
    """The fault that a rule names; the rule's own words where nobody wrote one."""
    return _faults().get(rule) or rule.replace("_", " ")


def counted(rules: Mapping[str, int]) -> str:
    """ "no survival time 2, very small GTV 1"; "-" for none."""
    return ", ".join(f"{fault(rule)} {count}" for rule, count in rules.items()) or "-"


@cache
def _faults() -> dict[str, str]:
    from penumbra.base.yaml_files import read_yaml

    return {rule: texts[2] for rules in read_yaml(DECLARED).values() for rule, texts in rules.items() if len(texts) > 2}
