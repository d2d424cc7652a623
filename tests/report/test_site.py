"""From one static page to the others: links that lead to what exists, and to nothing else."""

import re
from pathlib import Path
from urllib.parse import unquote

from penumbra.report import site
from penumbra.report.sections import Section, write_sections


def write(home: Path, path: str, title: str = "A page") -> Path:
    return write_sections(home / path, title, "kicker", ["words"], [Section("One", "Two.")], "footer")


def links(page: Path) -> dict[str, Path]:
    """Words -> where they lead, of every link of a page."""
    found = re.findall(r'<a href="([^"#]+)">([^<]+)</a>', page.read_text(encoding="utf-8"))
    return {words: (page.parent / unquote(address)).resolve() for address, words in found}


def test_every_page_leads_to_every_other_and_to_the_list(tmp_path: Path) -> None:
    report, decision = write(tmp_path, "reports/nsclc-os-1/index.html"), write(tmp_path, "reports/retrain-far north/index.html")
    masks, comparison = write(tmp_path, "gallery/far north/index.html"), write(tmp_path, "reports/compare-1-2/index.html")
    audit, patient = write(tmp_path, "reports/nsclc-os-1/audit.html"), write(tmp_path, "reports/patients/far north-N001.html")
    assert "Audit" not in (site.link(tmp_path) or report).read_text(encoding="utf-8"), "a page that says that nothing was audited is no audit"
    audit.with_name("audit.json").write_text("{}", encoding="utf-8")
    listed = site.link(tmp_path)
    assert listed == tmp_path / "reports" / "index.html"
    everywhere = {"nsclc-os/1": report, "far north": decision, "1 and 2": comparison, "All pages": listed}
    assert links(patient) == {**everywhere, "far north": decision}
    assert links(report) == {words: path for words, path in everywhere.items() if path != report}
    assert '<span>Masks <a href="../../gallery/far%20north/index.html">far north</a></span>' in report.read_text(encoding="utf-8")
    assert "<b>far north</b>" in masks.read_text(encoding="utf-8")
    text = listed.read_text(encoding="utf-8")
    assert re.findall(r"<h2>(\w+)</h2>", text) == ["Report", "Masks", "Comparison", "Decision", "Audit", "Patient"]
    addresses = re.findall(r'<li><a href="([^"]+)">', text)
    assert {(listed.parent / unquote(address)).resolve() for address in addresses} == {report, decision, masks, comparison, audit, patient}


def test_what_is_removed_is_linked_no_more_and_what_is_unchanged_is_not_written(tmp_path: Path) -> None:
    report, patient = write(tmp_path, "reports/nsclc-os-1/index.html"), write(tmp_path, "reports/patients/north-N001.html")
    site.link(tmp_path)
    before = report.stat().st_mtime_ns, report.stat().st_ino
    site.link(tmp_path)
    assert (report.stat().st_mtime_ns, report.stat().st_ino) == before
    patient.unlink()
    site.link(tmp_path)
    assert "N001" not in (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")
    report.unlink()
    assert site.link(tmp_path) is None
    assert not (tmp_path / "reports" / "index.html").exists()


def test_a_page_of_an_older_program_stays_as_it_is(tmp_path: Path) -> None:
    old = tmp_path / "reports" / "nsclc-os-1" / "index.html"
    old.parent.mkdir(parents=True)
    old.write_text("<html><body>old</body></html>")
    assert site.link(tmp_path) is not None
    assert old.read_text() == "<html><body>old</body></html>"


def test_names_are_escaped(tmp_path: Path) -> None:
    write(tmp_path, "gallery/a<b>&c/index.html")
    report = write(tmp_path, "reports/nsclc-os-1/index.html")
    site.link(tmp_path)
    assert "a&lt;b&gt;&amp;c" in report.read_text(encoding="utf-8")
    assert "a<b>" not in report.read_text(encoding="utf-8")
    assert 'href="../../gallery/a%3Cb%3E%26c/index.html"' in report.read_text(encoding="utf-8")
