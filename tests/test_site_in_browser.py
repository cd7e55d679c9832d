"""The documentation site, built and read in a browser without a network. Needs chromium and the extra `docs`."""

import functools
import http.server
import importlib.util
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))

NEEDED = ("sphinx", "myst_nb", "furo", "plotly", "playwright")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
CHROMIUM = shutil.which("chromium")
PHONE = {"width": 390, "height": 844}
WINDOWS = ({"width": 1024, "height": 768}, {"width": 1280, "height": 900}, {"width": 1440, "height": 900})
LEGIBLE = 4.5
"""Ratio of the luminances of text and ground (WCAG AA)."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium"),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class Elements(HTMLParser):
    """The links, anchors and pictures of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.without_text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.links += [found[name] for name in ("href", "src", "poster") if name in found]
        self.anchors |= {found["id"]} if "id" in found else set()
        if tag == "img" and not found.get("alt"):
            self.without_text.append(found.get("src", ""))


@functools.cache
def elements(page: Path) -> Elements:
    parser = Elements()
    parser.feed(page.read_text())
    return parser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as the documentation says."""
    out = tmp_path_factory.mktemp("built") / "site"
    command = [sys.executable, "docs/build.py", f"out={out}"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert built.returncode == 0, built.stdout + built.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> list[str]:
    return sorted(page.relative_to(site).as_posix() for page in site.rglob("*.html") if "_static" not in page.parts)


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--headless", "--no-sandbox"]
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield started
        started.close()


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Any]:
    """A tab from which only the site can be reached; `complaints` are errors and requests to elsewhere."""
    context = browser.new_context()
    page = context.new_page()
    page.complaints = []

    def handle(route: Any) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            page.complaints.append(f"request to {route.request.url}")
            route.abort()

    context.route("**/*", handle)
    page.on("console", lambda said: said.type == "error" and page.complaints.append(f"console: {said.text}"))
    page.on("pageerror", lambda error: page.complaints.append(f"error: {error}"))
    page.on("response", lambda got: got.status >= 400 and page.complaints.append(f"{got.status}: {got.url}"))
    yield page
    context.close()


def test_all_pages_load_without_errors_or_requests_to_elsewhere(tab: Any, address: str, pages: list[str]) -> None:
    assert len(pages) > 50
    for page in pages:
        tab.goto(address + page)
        assert tab.title()
    assert tab.complaints == []


def test_no_page_is_wider_than_its_window(tab: Any, address: str, pages: list[str]) -> None:
    wide = {}
    for page in pages:
        tab.goto(address + page)
        for window in (PHONE, *WINDOWS):
            tab.set_viewport_size(window)
            width = tab.evaluate("document.documentElement.scrollWidth")
            if width > window["width"]:
                wide[page, window["width"]] = width
    assert not wide


def test_figures_are_dark_in_the_dark(browser: Any, address: str) -> None:
    for scheme, wanted in (("light", "none"), ("dark", "invert(0.92) hue-rotate(180deg)")):
        page = browser.new_page(color_scheme=scheme)
        page.goto(address + "index.html")
        assert page.locator("a.figure img").first.evaluate("(element) => getComputedStyle(element).filter") == wanted
        page.close()


def test_all_links_lead_somewhere(site: Path, pages: list[str]) -> None:
    for page in pages:
        for link in elements(site / page).links:
            target, anchor = urldefrag(urljoin(f"/{page}", link.partition("?")[0] if "#" not in link else link))
            if re.match(r"[a-z]+:", target) or target.startswith("//"):
                continue
            file = site / unquote(target).lstrip("/")
            assert file.exists(), f"{page}: {link}"
            if anchor and file.suffix == ".html":
                assert unquote(anchor) in elements(file).anchors, f"{page}: {link}"


def test_all_pictures_have_an_alternative_text(site: Path, pages: list[str]) -> None:
    assert any("<img" in (site / page).read_text() for page in pages)
    assert {page: found for page in pages if (found := elements(site / page).without_text)} == {}


def test_videos_play(tab: Any, address: str) -> None:
    for page in ("gallery.html", "first_steps.html"):
        tab.goto(address + page)
        videos = tab.locator("video")
        assert videos.count() >= 1
        for number in range(videos.count()):
            time = videos.nth(number).evaluate(
                """async (video) => {
                    video.muted = true; await video.play();
                    await new Promise((done) => setTimeout(done, 700));
                    return video.error ? -1 : video.currentTime;
                }"""
            )
            assert time > 0.1, (page, number)
            assert videos.nth(number).get_attribute("aria-label")
    assert tab.complaints == []


def test_verdicts_and_effects_are_those_of_the_rules(tab: Any, address: str) -> None:
    from builder.claims import DECIDING, anchor, best_scale, sweep_of

    from analysis.claims import CLAIMS

    tab.goto(address + "claims.html")
    for claim in CLAIMS:
        verdict, shown = claim.decide(DECIDING), claim.decide(best_scale(sweep_of(claim)))
        text = tab.locator(f"section:has(> span#{anchor(claim)}), section#{anchor(claim)}").first.inner_text()
        assert f" {verdict.outcome}" in text, claim.text
        for part in shown.effect.split("; "):
            assert " ".join(part.split()) in " ".join(text.split()), claim.text


def test_the_start_page_counts_all_claims(tab: Any, address: str) -> None:
    from analysis.claims import CLAIMS

    tab.goto(address + "index.html")
    cells = tab.locator("#what-is-reproduced td:last-child").all_inner_texts()
    assert sum(int(cell) for cell in cells) == len(CLAIMS)


def test_a_point_over_learning_rates_shows_its_command(tab: Any, address: str) -> None:
    tab.goto(address + "figure_2_learning_rates.html")
    points = tab.locator(".interactive .plot .point")
    points.first.wait_for()
    options = tab.locator(".interactive select option").all_inner_texts()
    assert any("the paper" in option for option in options)
    number = next((index for index, option in enumerate(options) if "a3crepro" in option), None)
    tab.locator(".interactive select").select_option(str(len(options) - 1))
    assert points.count() == 4 * 50  # methods times rates
    if number is not None:
        tab.locator(".interactive select").select_option(str(number))
        points.nth(5).scroll_into_view_if_needed()
        box = points.nth(5).bounding_box()
        tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert tab.locator(".interactive .command").inner_text().startswith("python -m a3crepro ")
    assert tab.complaints == []


def test_curves_are_chosen(tab: Any, address: str) -> None:
    tab.goto(address + "figure_3_data_efficiency.html")
    lines = tab.locator(".interactive .plot .scatterlayer .js-line")
    lines.first.wait_for()
    game, _ = tab.locator(".interactive select").all()
    game.select_option(label="Beam Rider")
    names = tab.locator(".interactive .legendtext")
    assert names.all_text_contents() == [f"the paper, {n} thread{'s' * (n > 1)}" for n in (1, 4, 16)]
    tab.get_by_label("the paper's curves").uncheck()
    assert names.count() == 0
    assert tab.complaints == []


CONTRAST = """(element) => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = color.slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let ground = element, color = [0, 0, 0, 0];
  while (ground) {
    color = parse(getComputedStyle(ground).backgroundColor);
    if (color.length < 4 || color[3] > 0.5) break;
    ground = ground.parentElement;
  }
  const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(color)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible(browser: Any, address: str, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    for name in ("claims.html", "executions.html", "methods/a3c.html", "gallery.html"):
        page.goto(address + name)
        for selector in ("article p", ".verdict", "article td", "article code", ".drawing svg", ".agent dd", "h2"):
            for element in page.locator(f"{selector} >> visible=true").all()[:8]:
                assert element.evaluate(CONTRAST) >= LEGIBLE, (name, selector, element.inner_text())
    page.close()
