"""The web page, as a person meets it: a real server and a real browser, on the tiny model."""

import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
expect.set_options(timeout=30_000)  # a busy machine
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; on Debian: apt-get install chromium")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [sys.executable, "-m", "inference", "app", "--port", "0", "--model", "tiny-wan"]
    log = tmp_path_factory.mktemp("app") / "log"
    with log.open("w") as said, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found is None:
            process.kill()
            pytest.fail(f"the page did not start: {line}{log.read_text()}")
        yield found[0]
        process.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1360, "height": 1000})
    page.set_default_timeout(60_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server)
    page.wait_for_selector(".fio")
    yield page
    elsewhere = [url for url in asked if not url.startswith((server, "data:", "blob:"))]
    page.close()
    assert not elsewhere, "the page asked another host"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(90, 120, (96, 160, 3), np.uint8)
    pixels[30:66, 60:100] = (220, 40, 30)
    path = tmp_path / "first.png"
    Image.fromarray(pixels).save(path)
    return path


def _drag(
    page: Page, start: tuple[float, float], end: tuple[float, float], canvas: str = "canvas[data-part=stage]"
) -> None:
    """On a canvas; places are shares of it."""
    page.locator(canvas).scroll_into_view_if_needed()
    box = page.locator(canvas).bounding_box()
    assert box is not None
    (x0, y0), (x1, y1) = ((box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end))
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2 + 5, steps=5)
    page.mouse.move(x1, y1, steps=5)
    page.mouse.up()


@needs_browser
def test_a_person_draws_generates_saves_and_loads_again(page: Page, picture: Path, tmp_path: Path) -> None:
    page.set_input_files("[data-part=picture-file]", picture)
    expect(page.locator("[data-part=empty]")).to_be_hidden()
    _drag(page, (0.5, 0.5), (0.55, 0.5))  # the picture's place
    page.click("[data-mode=draw]")
    _drag(page, (0.3, 0.4), (0.6, 0.5))
    _drag(page, (0.4, 0.6), (0.7, 0.7))
    expect(page.locator("[data-key^=line-]")).to_have_count(2)
    page.click("[data-do=undo]")
    expect(page.locator("[data-key^=line-]")).to_have_count(1)
    page.click("[data-do=redo]")
    with page.expect_file_chooser() as chooser:
        page.click("[data-key=id-0]")
    chooser.value.set_files(picture)
    expect(page.locator("dialog[open]")).to_be_visible()
    _drag(page, (0.3, 0.2), (0.7, 0.8), "dialog canvas")
    expect(page.locator("dialog [data-part=status]")).to_contain_text("%")
    page.click("dialog [data-do=done]")
    expect(page.locator(".fio-thumb")).to_have_count(1)

    page.click("#generate")
    expect(page.locator("#status")).to_contain_text(re.compile("Step|Loading"))
    expect(page.locator("#status")).to_contain_text("Done", timeout=120_000)
    expect(page.locator("#overlay video")).to_be_visible()
    expect(page.locator("#crop video")).to_be_visible()

    with page.expect_download() as download:
        page.click("#download")
    saved = tmp_path / "request.zip"
    download.value.save_as(saved)
    page.reload()
    page.wait_for_selector(".fio")
    expect(page.locator("[data-key^=line-]")).to_have_count(0)
    with page.expect_file_chooser() as chooser:
        page.click("#load")
    chooser.value.set_files(saved)
    expect(page.locator("[data-key^=line-]")).to_have_count(2)
    expect(page.locator(".fio-thumb")).to_have_count(1)


@needs_browser
def test_bad_input_is_a_message_and_the_server_lives(page: Page, picture: Path, tmp_path: Path) -> None:
    said = page.locator("[data-part=say]")
    text = tmp_path / "text.png"
    text.write_text("no picture at all")
    page.set_input_files("[data-part=picture-file]", text)
    expect(said).to_contain_text("text.png")

    huge = tmp_path / "huge.png"
    Image.new("1", (30_000, 30_000)).save(huge)
    page.set_input_files("[data-part=picture-file]", huge)
    expect(said).to_contain_text("huge.png")

    page.set_input_files("[data-part=picture-file]", picture)
    expect(page.locator("[data-part=empty]")).to_be_hidden()
    page.click("#generate")
    expect(page.locator("#status")).to_contain_text("trajector")


@needs_browser
def test_nothing_sticks_out_on_a_phone(browser: Browser, server: str) -> None:
    phone = browser.new_page(viewport={"width": 390, "height": 844})
    phone.goto(server)
    phone.click(".fio-example:nth-child(4)", timeout=60_000)
    expect(phone.locator("[data-key^=line-]").first).to_be_visible(timeout=60_000)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.close()


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "pyproject.toml", str(Path(__file__)), "~/.bashrc"],
)
@pytest.mark.parametrize("route", ["/gradio_api/file=", "/file=", "/gradio_api/stream/"])
def test_files_outside_the_page_are_not_served(server: str, route: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(server + route + path, timeout=10)
    with refused.value as answer:
        assert answer.code in (400, 403, 404, 405, 422)
        assert b"root:" not in answer.read()
