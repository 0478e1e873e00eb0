"""The web page, as a person meets it: a real server and a real browser, on the tiny model."""

import contextlib
import http.client
import os
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
    temporary = tmp_path_factory.mktemp("temporary")
    environment = os.environ | {"TMPDIR": str(temporary)}
    with (
        log.open("w") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found is None:
            process.kill()
            pytest.fail(f"the page did not start: {line}{log.read_text()}")
        yield found[0]
        process.terminate()
        process.wait(60)
    assert not list(temporary.glob("frame-in-out-*")), "what people gave it was left behind"


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
    page.wait_for_timeout(1500)
    expect(page.locator("#status")).to_contain_text("trajector", timeout=1)  # and it stays
    expect(page.locator("#generate")).to_be_enabled()


@needs_browser
def test_points_times_objects_and_keys(page: Page, picture: Path) -> None:
    page.set_input_files("[data-part=picture-file]", picture)
    expect(page.locator("[data-part=empty]")).to_be_hidden()
    page.click("[data-mode=draw]")
    _drag(page, (0.02, 0.4), (0.6, 0.5))  # from outside of the canvas
    page.locator("[data-key=end-0-0]").press("ArrowLeft")
    page.locator("[data-key=start-0-0]").press("ArrowRight")
    expect(page.locator(".fio-times")).to_have_text("0.0 – 1.3 s")  # a fortieth of 1.33 s each
    for _ in range(5):
        page.locator("[data-key=start-0-0]").press("ArrowRight")
    expect(page.locator(".fio-times")).to_have_text("0.2 – 1.3 s")
    page.click("[data-key=pace-0-0]")
    expect(page.locator("[data-key=pace-0-0]")).to_have_text("as drawn")

    page.click("[data-do=object]")
    stage = page.locator("canvas[data-part=stage]")
    stage.click(position={"x": 200, "y": 200})
    expect(page.locator("[data-key=line-1-0]")).to_have_text("Point 1")
    stage.focus()
    for key in ("Space", "ArrowRight", "ArrowRight", "Space", "ArrowDown", "Space", "Enter"):
        stage.press(key)
    expect(page.locator("[data-key=line-1-1]")).to_have_text("Line 2")
    colours = page.locator(".fio-swatch").evaluate_all("all => all.map(one => getComputedStyle(one).backgroundColor)")
    assert colours == ["rgb(255, 0, 0)", "rgb(255, 255, 0)"]
    page.keyboard.press("Control+z")
    expect(page.locator("[data-key=line-1-1]")).to_have_count(0)

    page.click("#preview")
    expect(page.locator("#first img")).to_be_visible()
    assert page.locator("#first img").evaluate("image => [image.naturalWidth, image.naturalHeight]") == [192, 128]


@needs_browser
def test_a_generation_is_cancelled_and_an_earlier_one_is_edited_again(page: Page) -> None:
    page.click(".fio-example:nth-child(3)")
    expect(page.locator("[data-key^=line-]")).to_have_count(4)
    expect(page.locator(".fio-thumb")).to_have_attribute("style", re.compile("data:image"))
    page.get_by_label("Steps").fill("900")
    page.click("#generate")
    expect(page.locator("#status")).to_contain_text(re.compile("Step [1-9]"))
    page.click("#cancel")
    expect(page.locator("#status")).to_contain_text("Stopped after")

    page.get_by_label("Steps").fill("2")
    page.click("#generate")
    expect(page.locator("#status")).to_contain_text("Done")
    page.click("[data-do=object]")
    page.click(".fio-card:first-of-type [aria-label='Remove boat']")
    expect(page.locator("[data-key^=line-]")).to_have_count(1)
    page.get_by_role("tab", name="Runs").click()
    page.click("#gallery button")
    page.click("#again")
    expect(page.locator("[data-key^=line-]")).to_have_count(4)


@needs_browser
def test_a_phone_draws_by_touch_and_nothing_sticks_out(browser: Browser, server: str) -> None:
    phone = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    phone.set_default_timeout(60_000)
    phone.goto(server)
    phone.tap(".fio-example:nth-child(4)")
    expect(phone.locator("[data-key^=line-]")).to_have_count(2)
    phone.tap("canvas[data-part=stage]")
    expect(phone.locator("[data-key^=line-]")).to_have_count(3)
    box = phone.locator("canvas[data-part=stage]").bounding_box()
    assert box is not None
    touch = phone.context.new_cdp_session(phone)
    for kind, share in (("touchStart", 0.3), ("touchMove", 0.5), ("touchMove", 0.7), ("touchEnd", None)):
        x, y = box["x"] + (share or 0) * box["width"], box["y"] + 0.3 * box["height"]
        points = [{"x": x, "y": y}] if share else []
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(phone.locator("[data-key^=line-]")).to_have_count(4)
    expect(phone.locator("[data-key=line-0-2]")).to_have_text("Line 3")
    for tab in ("Model input", "Runs", "Result"):
        phone.get_by_role("tab", name=tab).tap()
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390, tab
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


@pytest.mark.parametrize("path", ["/gradio_api/file=https://example.org/", "/gradio_api/proxy=https://example.org/"])
def test_nothing_is_fetched_from_elsewhere_for_a_caller(server: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(server + path, timeout=10)
    with refused.value as answer:
        assert answer.code == 403


def test_uploads_have_a_limit(server: str) -> None:
    """Told by its header, a body that is too large is not even read; one without a length is cut off."""
    host = server.removeprefix("http://")
    for claim in ({"Content-Length": "99000000"}, {"Transfer-Encoding": "chunked"}):
        with contextlib.closing(http.client.HTTPConnection(host, timeout=30)) as connection:
            connection.putrequest("POST", "/gradio_api/upload")
            connection.putheader("Content-Type", "multipart/form-data; boundary=x")
            for name, value in claim.items():
                connection.putheader(name, value)
            connection.endheaders()
            try:
                if "Transfer-Encoding" in claim:
                    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
                    for chunk in (head, *[bytes(1 << 20)] * 60):
                        connection.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                assert connection.getresponse().status >= 400
            except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
                pass  # hung up in the middle of it
    with urllib.request.urlopen(server, timeout=30) as answer:
        assert answer.status == 200
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
