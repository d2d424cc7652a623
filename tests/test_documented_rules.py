"""Every refusal and finding that a sender of scans and tables can meet is in the documentation, with what to do."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMED = re.compile(r"""(?:Refusal|Finding|check)\(\s*"([a-z_]+)\"""")


def test_every_rule_of_reading_is_in_the_documentation() -> None:
    written = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    sources = [path for part in ("imaging", "cohort") for path in (ROOT / "src" / "penumbra" / part).rglob("*.py")]
    rules = {rule for path in sources for rule in NAMED.findall(path.read_text(encoding="utf-8"))}
    assert len(rules) > 80
    assert sorted(rule for rule in rules if f"`{rule}`" not in written) == []
