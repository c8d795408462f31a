"""What a person does on the pages, and what happens beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from opstrand.api.auth.callers import Caller, StaticToken, Verb
from opstrand.runs.memory import MemoryRuns
from tests.pages.conftest import Open
from tests.pages.scene import FLOW, LIVE, PROJECT, TRAIN, WAITING, run, set_scene, uuid_of
from tests.support.builders import JOB, parent_of, pipeline
from tests.support.loopback_api import TOKEN, LoopbackApi

RUNS = f"default/{PROJECT}/runs"


class Reader(StaticToken):
    """A caller who may read, and nothing else."""

    async def may(self, caller: Caller, verb: Verb, project: str) -> bool:
        return verb not in (Verb.CREATE, Verb.CONTROL, Verb.DELETE)


def _serve(folder: Path, **more: object) -> LoopbackApi:
    serving = LoopbackApi(MemoryRuns([PROJECT, "empty"]), folder, **more)  # type: ignore[arg-type]
    set_scene(serving)
    serving.start()
    return serving


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LoopbackApi]:
    """Yield an API whose runs the test may change."""
    serving = _serve(tmp_path)
    yield serving
    serving.close()


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[LoopbackApi]:
    serving = _serve(tmp_path, auth=Reader(TOKEN))
    yield serving
    serving.close()


@pytest.fixture
def token() -> StaticToken:
    return StaticToken(TOKEN)


@pytest.fixture
def guarded(tmp_path: Path, token: StaticToken) -> Iterator[LoopbackApi]:
    """Yield an API whose token the test may replace."""
    serving = _serve(tmp_path, auth=token)
    try:
        yield serving
    finally:
        serving.close()


def _root(api: LoopbackApi) -> str:
    return f"http://127.0.0.1:{api.port}"


def test_a_query_filters_the_list_and_is_in_the_address(open_page: Open) -> None:
    page = open_page(RUNS).page
    query = page.get_by_role("combobox")
    query.fill("sta")
    query.press("ArrowDown")
    query.press("Enter")
    expect(query).to_have_value("status:")
    query.press_sequentially("succeeded")
    query.press("Enter")
    rows = page.locator("table.runs tbody tr")
    expect(rows).to_have_count(2)
    assert "q=status%3Asucceeded" in page.url
    page.reload()
    expect(rows).to_have_count(2)
    page.go_back()
    expect(page.get_by_text("serve-batch")).to_be_visible()


def test_a_wrong_query_is_answered_in_the_words_of_the_api(open_page: Open) -> None:
    page = open_page(f"{RUNS}?q=colour:red").page
    expect(page.get_by_role("alert")).to_contain_text("colour")


def test_a_pipeline_unfolds_to_its_runs(open_page: Open) -> None:
    page = open_page(RUNS).page
    page.get_by_role("button", name="Runs of nightly-flow").press("Enter")
    expect(page.get_by_role("link", name="features")).to_be_visible()


def test_a_large_pipeline_is_drawn_whole(own: LoopbackApi, open_page: Open) -> None:
    names = [f"op-{number}" for number in range(500)]
    operations = [
        {"name": name, **JOB, **({"dependencies": [names[(at - 1) // 3]]} if at else {})}
        for at, name in enumerate(names)
    ]
    large = parent_of("large", "." * 500, pipeline(*operations))
    large["metadata"] |= {"namespace": PROJECT}
    own.do(own.runs.put(large))
    page = open_page(f"{RUNS}/{uuid_of(large)}/graph/", root=_root(own)).page
    expect(page.locator("svg .node")).to_have_count(500)
    expect(page.locator("svg .edge")).to_have_count(499)


def test_a_long_list_has_pages(own: LoopbackApi, open_page: Open) -> None:
    for number in range(100, 180):
        own.do(own.runs.put(run(number, f"more-{number}", "Succeeded")))
    page = open_page(RUNS, root=_root(own)).page
    rows = page.locator("table.runs tbody tr")
    expect(rows).to_have_count(50)
    first = rows.first.inner_text()
    page.get_by_role("button", name="Older").click()
    expect(page.get_by_role("button", name="Newest")).to_be_visible()
    expect(rows.first).not_to_have_text(first, use_inner_text=True)


def test_an_empty_project_says_how_to_begin(open_page: Open) -> None:
    page = open_page("default/empty/runs").page
    expect(page.get_by_text("opstrand run -n empty -f echo.yaml")).to_be_visible()


def test_a_change_of_a_run_is_on_the_open_pages(own: LoopbackApi, open_page: Open) -> None:
    root = _root(own)
    listed, shown = (
        open_page(RUNS, root=root).page,
        open_page(f"{RUNS}/{uuid_of(LIVE)}/", root=root).page,
    )
    expect(shown.locator(".page-head .phase")).to_have_text("Running")
    row = listed.locator("tr", has_text="serve-batch")
    expect(row.locator(".phase")).to_have_text("Running")
    status = {**LIVE["status"], "phase": "Failed", "reason": "OOMKilled", "message": "too large"}
    own.do(own.runs.put({**LIVE, "status": status}))
    expect(shown.get_by_text("too large")).to_be_visible()
    expect(row.locator(".phase")).to_have_text("Failed")


def test_the_log_of_a_live_run_grows_until_its_end(own: LoopbackApi, open_page: Open) -> None:
    page = open_page(f"{RUNS}/{uuid_of(LIVE)}/logs/", root=_root(own)).page
    expect(page.get_by_text("the first batch")).to_be_visible()
    own.do(own.runs.write_log(uuid_of(LIVE), "the \x1b[1;32msecond\x1b[0m batch"))
    expect(page.locator(".ansi-bold", has_text="second")).to_be_visible()
    expect(page.get_by_text("2 lines, live")).to_be_visible()
    own.do(own.runs.put({**LIVE, "status": {**LIVE["status"], "phase": "Succeeded"}}))
    expect(page.get_by_text("2 lines", exact=True)).to_be_visible()


def test_a_long_log_is_searched(own: LoopbackApi, open_page: Open) -> None:
    async def write() -> None:
        for number in range(20_000):
            text = "a needle" if number == 15_000 else f"line {number}"
            own.runs._logs.setdefault((uuid_of(WAITING), 0), [])
            await own.runs.write_log(uuid_of(WAITING), text)
        await own.runs.end_log(uuid_of(WAITING))

    own.do(write())
    page = open_page(f"{RUNS}/{uuid_of(WAITING)}/logs/", root=_root(own)).page
    expect(page.get_by_text("20,000 lines")).to_be_visible()
    assert page.locator(".log .line").count() < 200
    page.get_by_label("Search the log").fill("needle")
    expect(page.locator(".line.target")).to_contain_text("a needle")


@pytest.mark.parametrize("has_length", [True, False])
def test_a_preview_says_that_it_is_cut(open_page: Open, has_length: bool) -> None:
    page = open_page(f"{RUNS}/{uuid_of(TRAIN)}/artifacts/").page

    def answer(route: Route) -> None:
        given = route.fetch()
        left_out = () if has_length else ("content-length",)
        headers = {name: one for name, one in given.headers.items() if name not in left_out}
        route.fulfill(response=given, headers=headers)

    page.route("**/long.txt", answer)
    page.get_by_role("button", name="outputs/").click()
    page.get_by_role("link", name="long.txt").click()
    expect(page.get_by_text("This is the beginning of the file")).to_be_visible()
    page.get_by_role("link", name="notes.txt").click()
    expect(page.get_by_text("Nothing of note.")).to_be_visible()
    expect(page.get_by_text("This is the beginning of the file")).to_have_count(0)


def test_an_empty_table_is_shown(open_page: Open) -> None:
    page = open_page(f"{RUNS}/{uuid_of(TRAIN)}/artifacts/?file=outputs/empty.csv").page
    expect(page.locator(".preview .toolbar")).to_contain_text("0 B")
    expect(page.locator(".preview table")).to_have_count(1)


def test_actions_are_asked_of_the_run(own: LoopbackApi, open_page: Open) -> None:
    page = open_page(f"{RUNS}/{uuid_of(WAITING)}/", root=_root(own)).page
    with page.expect_response("**/actions/approve"):
        page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    key = (PROJECT, "deploy")
    assert own.runs.bodies[key]["spec"]["isApproved"] is True
    with page.expect_response("**/actions/stop"):
        page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Stop")).to_have_attribute("aria-disabled", "true")
    assert own.runs.bodies[key]["spec"]["control"] == {"stop": True}
    page.get_by_role("button", name="Restart").click()
    page.wait_for_url(lambda url: uuid_of(WAITING) not in url)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Runs")
    assert key in own.runs.bodies


def test_what_a_person_may_not_do_is_disabled_and_says_why(
    reading: LoopbackApi, open_page: Open
) -> None:
    page = open_page(f"{RUNS}/{uuid_of(FLOW)}/", root=_root(reading)).page
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_have_attribute("aria-disabled", "true")
    expect(stop).to_have_attribute("title", f"You need the right to patch operations in {PROJECT}.")


def test_without_a_token_the_pages_ask_for_one(open_page: Open) -> None:
    page = open_page(f"{RUNS}/{uuid_of(TRAIN)}/", token="").page
    page.get_by_label("Bearer token").fill("a wrong one")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("The token is not the one")
    page.get_by_label("Bearer token").fill(TOKEN)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("train")
    assert page.evaluate("localStorage.getItem('opstrand.token')") is None
    assert TOKEN not in page.url


def test_a_token_that_expires_is_asked_for_again(
    guarded: LoopbackApi, token: StaticToken, open_page: Open
) -> None:
    page = open_page(f"{RUNS}/{uuid_of(LIVE)}/", root=_root(guarded)).page
    expect(page.get_by_role("heading", level=1)).to_have_text("serve-batch")
    token._token = b"another"
    expect(page.get_by_label("Bearer token")).to_be_visible()
    page.get_by_label("Bearer token").fill("another")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("serve-batch")


def test_a_second_tab_has_the_token_of_the_first(open_page: Open) -> None:
    first = open_page(f"{RUNS}/{uuid_of(TRAIN)}/", token="").page
    first.get_by_label("Bearer token").fill(TOKEN)
    first.get_by_role("button", name="Continue").click()
    expect(first.get_by_role("heading", level=1)).to_have_text("train")
    second = first.context.new_page()
    second.goto(first.url)
    expect(second.get_by_role("heading", level=1)).to_have_text("train")


def test_an_api_that_is_away_for_a_moment_is_said_and_then_forgotten(
    own: LoopbackApi, open_page: Open
) -> None:
    page = open_page(f"{RUNS}/{uuid_of(LIVE)}/", root=_root(own)).page
    expect(page.get_by_role("heading", level=1)).to_have_text("serve-batch")
    own.stop()
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    own.start()
    expect(page.get_by_role("alert")).to_have_count(0)
