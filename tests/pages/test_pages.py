"""Each page shows what it is for, in both themes, without a serious finding of axe. The pictures
are kept in .work/pages, for a person to look at.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.pages.conftest import Open
from tests.pages.scene import (
    EVAL,
    FLOW,
    GRID,
    LIVE,
    NASTY,
    PROJECT,
    TRAIN,
    WAITING,
    uuid_of,
)

RUNS = f"default/{PROJECT}/runs"
#: Page -> its address below the list, and a text that it shows once it is whole.
PAGES = {
    "runs": ("?cols=outputs.loss", "serve-batch"),
    "runs-empty": ("?q=name:none", "No run matches."),
    "overview": (f"/{uuid_of(TRAIN)}/", "outputs.rows of prep"),
    "failed": (f"/{uuid_of(EVAL)}/", "ValueError: expected 10 classes, found 12"),
    "waiting": (f"/{uuid_of(WAITING)}/", "Approve"),
    "logs": (f"/{uuid_of(TRAIN)}/logs/", "40 lines"),
    "lineage": (f"/{uuid_of(TRAIN)}/lineage/", "Requested value"),
    "graph": (f"/{uuid_of(FLOW)}/graph/", "waits for train (not created)"),
    "matrix": (f"/{uuid_of(GRID)}/matrix/?sort=outputs.loss", "Best (least loss)"),
    "metrics": (f"/{uuid_of(TRAIN)}/metrics/", "200 points"),
    "artifacts": (f"/{uuid_of(TRAIN)}/artifacts/?file=outputs/report.csv", "dog, large"),
    "spec": (f"/{uuid_of(TRAIN)}/spec/?form=compiled", "compiled_operation"),
    "missing": (f"/{'f' * 32}/", "There is no run"),
}
_SERIOUS = ("serious", "critical")


def check_access(page: Page, theme: str) -> None:
    """Fail with what axe finds serious. A theme changes nothing but colours."""
    options = {"runOnly": ["color-contrast"]} if theme == "dark" else {}
    found = Axe().run(page, options=options).response["violations"]
    serious = [
        f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in _SERIOUS
    ]
    assert serious == []


#: Pages that have all parts which the other ones have.
DARK = ("runs", "waiting", "logs", "graph", "matrix", "metrics")


@pytest.mark.parametrize(
    ("name", "theme"), [*((name, "light") for name in PAGES), *((name, "dark") for name in DARK)]
)
def test_a_page_shows_what_it_is_for(
    open_page: Open, pictures: Path, name: str, theme: str
) -> None:
    path, text = PAGES[name]
    page = open_page(RUNS + path, theme=theme).page
    expect(page.get_by_text(text).filter(visible=True).first).to_be_visible()
    page.screenshot(path=pictures / f"{name}-{theme}.png")
    check_access(page, theme)


@pytest.mark.parametrize("name", ["runs", "overview", "graph", "logs"])
def test_a_page_fits_the_width_of_a_phone(open_page: Open, pictures: Path, name: str) -> None:
    path, text = PAGES[name]
    page = open_page(RUNS + path, width=390).page
    expect(page.get_by_text(text).filter(visible=True).first).to_be_visible()
    page.screenshot(path=pictures / f"{name}-phone.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_address_that_the_published_command_line_prints_opens_the_run(open_page: Open) -> None:
    page = open_page(f"default/{PROJECT}/runs/{uuid_of(TRAIN)}/").page
    expect(page.get_by_role("heading", level=1)).to_have_text("train")
    expect(page).to_have_title("train – opstrand")


def test_a_pipeline_shows_operations_that_have_no_run_yet(open_page: Open) -> None:
    page = open_page(f"{RUNS}/{uuid_of(FLOW)}/graph/").page
    expect(page.locator("svg .node")).to_have_count(6)
    expect(page.locator("svg path.edge")).to_have_count(6)
    expect(page.get_by_label("report: not created")).to_be_visible()
    page.get_by_role("link", name="clean: Succeeded").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("clean")


def test_nothing_is_asked_of_another_host(open_page: Open) -> None:
    watched = open_page(RUNS)
    hosts: set[str] = set()
    watched.page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    expect(watched.page.get_by_text("serve-batch")).to_be_visible()
    watched.page.goto(watched.page.url + f"/{uuid_of(LIVE)}/logs/")
    expect(watched.page.get_by_text("the first batch")).to_be_visible()
    assert len(hosts) == 1
    assert watched.page.context.cookies() == []


@pytest.mark.parametrize(
    ("tab", "text"),
    [
        ("", "Meta"),
        ("logs/", "50 lines"),
        ("lineage/", "Downstream"),
        ("spec/", "component:"),
        ("metrics/", "3 points"),
        ("artifacts/?file=all.csv", "all.csv"),
        ("artifacts/?file=page.html", "page.html"),
        ("artifacts/?file=image.svg", "image.svg"),
    ],
)
def test_no_text_of_a_user_runs_as_a_script(open_page: Open, tab: str, text: str) -> None:
    """The policy of the page would stop a script, too: `open_page` fails for what it stopped."""
    page = open_page(f"{RUNS}/{uuid_of(NASTY)}/{tab}").page
    expect(page.get_by_text(text).filter(visible=True).first).to_be_visible()
    page.mouse.move(400, 400)
    assert page.evaluate("window.ran") is None
    assert page.locator("main script, main iframe, main object, main embed, main base").count() == 0
    hrefs = page.eval_on_selector_all(
        "main a[href]",
        "all => all.map(one => new URL(one.href.baseVal ?? one.href, location).protocol)",
    )
    assert set(hrefs) <= {"http:"}


def test_a_list_of_hostile_names_runs_no_script(open_page: Open) -> None:
    page = open_page(
        f"{RUNS}?cols=inputs.x,outputs.y&q=%3Cimg%20src=x%20onerror=window.ran=1%3E"
    ).page
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.get_by_role("link", name="<script>window.ran=0</script>")).to_be_visible()
    assert page.evaluate("window.ran") is None
