"""The static pages of the state folder, as they are and nothing else."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from penumbra import store
from penumbra.console.reports import POLICY

from . import serving
from .serving import Served

pytestmark = pytest.mark.slow

PAGE = "<!DOCTYPE html><html><head></head><body class='x'>\n<h1>A report</h1></body></html>"


@pytest.fixture(scope="module")
def with_pages(small_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("pages") / "home"
    shutil.copytree(small_home, home)
    report = home / "reports" / "nsclc-os-1"
    (report / "below").mkdir(parents=True)
    (report / "index.html").write_text(PAGE)
    (report / "figure.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    (report / ".key").write_text("secret of the stage")
    (report / "notes.txt").write_text("not of a page")
    (home / "secret.html").write_text("outside")
    (report / "out.html").symlink_to(home / "secret.html")
    (report / "away").symlink_to(home)
    patients = home / "reports" / "patients"
    patients.mkdir()
    for name in ("north-N001", "north-N009"):
        (patients / f"{name}.html").write_text(PAGE)
    pictures = home / "gallery" / "north" / "pictures"
    pictures.mkdir(parents=True)
    (pictures.parent / "index.html").write_text(PAGE)
    for name in ("N002-image1-abc", "N009-image1-abc"):
        (pictures / f"{name}.png").write_bytes(b"\x89PNG")
    with serving.served(home) as running:
        yield running


def test_a_page_is_shown_under_its_own_policy_with_a_way_back(with_pages: Served) -> None:
    answer = with_pages.get("/reports/nsclc-os-1/index.html")
    assert answer.status == 200
    assert answer.headers["content-security-policy"] == POLICY
    assert "script-src" not in POLICY
    assert POLICY.startswith("default-src 'none'")
    assert '<body class=\'x\'>\n<p class="kicker"><a href="/">&#8592; penumbra console</a></p>' in answer.text
    assert answer.headers["cache-control"] == "private, no-cache"
    assert with_pages.get("/reports/nsclc-os-1/").text == answer.text
    assert with_pages.get("/reports/nsclc-os-1/index.html", if_none_match=answer.headers["etag"]).status == 304
    assert with_pages.get("/gallery/north/index.html").status == 200
    figure = with_pages.get("/reports/nsclc-os-1/figure.svg")
    assert (figure.headers["content-type"], figure.headers["content-security-policy"]) == ("image/svg+xml", POLICY)
    assert figure.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/reports/../secret.html",
        "/reports/%2e%2e/secret.html",
        "/reports/nsclc-os-1/..%2f..%2fsecret.html",
        "/reports/nsclc-os-1/%2e%2e/%2e%2e/secret.html",
        "/reports//etc/passwd",
        "/reports/%2fetc%2fpasswd",
        "/reports/nsclc-os-1\\..\\..\\secret.html",
        "/reports/nsclc-os-1/index.html%00.png",
        "/reports/nsclc-os-1/.key",
        "/reports/nsclc-os-1/notes.txt",
        "/reports/nsclc-os-1/out.html",
        "/reports/nsclc-os-1/away/secret.html",
        "/reports/nsclc-os-1/away/store/catalog.sqlite",
        "/reports/nsclc-os-1/below",
        "/reports/nothing.html",
        "/reports/" + "a" * 300 + ".html",
        "/gallery/../secret.html",
        "/gallery/north/pictures",
    ],
)
def test_nothing_else_is_shown(path: str, with_pages: Served) -> None:
    answer = with_pages.get(path)
    assert answer.status == 404, path
    assert "outside" not in answer.text
    assert "secret of the stage" not in answer.text


def test_a_patient_who_is_not_in_the_store_has_no_page_and_no_picture(with_pages: Served) -> None:
    page = with_pages.get("/reports/patients/north-N001.html")
    assert page.status == 200
    assert with_pages.get("/reports/patients/north-N009.html").status == 404
    assert with_pages.get("/gallery/north/pictures/N002-image1-abc.png").status == 200
    assert with_pages.get("/gallery/north/pictures/N009-image1-abc.png").status == 404
    with store.connect(with_pages.home) as lake:  # the files stay, as after a forget that was killed half way
        store.forget(lake, "N001", "north", run="test", reason="asked to")
    assert with_pages.get("/reports/patients/north-N001.html", if_none_match=page.headers["etag"]).status == 404
