"""The report and the terminal tables, over a run folder that says the truth about rendered clips."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder
from curation.report.histogram import WIDTH, make_histogram, number
from curation.report.inspect import abbreviate, inspect
from curation.report.page import write_report

_VOID = {"meta", "img", "br", "link", "input", "hr"}
_SVG_VOID = {"rect", "line"}
_LOADS = {"src", "href", "srcset", "data", "action", "poster", "background"}


class _Checker(HTMLParser):
    """Collects tags, attributes and text; complains about tags that are not closed where they should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID and tag not in _SVG_VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        if tag not in _SVG_VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def _page(run: RunFolder) -> tuple[_Checker, str]:
    html = write_report(run.uri).read_text(encoding="utf-8")
    checker = _Checker()
    checker.feed(html)
    checker.close()
    assert not checker.open
    return checker, html


def _pictures(page: _Checker) -> list[np.ndarray]:
    uris = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    head = "data:image/jpeg;base64,"
    assert all(uri.startswith(head) for uri in uris)
    data = [np.frombuffer(base64.b64decode(uri.removeprefix(head)), np.uint8) for uri in uris]
    return [cv2.cvtColor(cv2.imdecode(item, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB) for item in data]


def test_page_is_self_contained(truth_run):
    page, html = _page(truth_run)
    assert write_report(truth_run.uri) == Path(truth_run.path("report.html"))
    for _tag, attrs in page.tags:
        for name in _LOADS & attrs.keys():
            assert attrs[name].startswith(("data:image/jpeg;base64,", "#")), attrs
    assert not re.search(r"url\(|@import", html)
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_hostile_text_stays_text(truth_run):
    page, _html = _page(truth_run)
    assert not any(name.startswith("on") for _tag, attrs in page.tags for name in attrs)
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert '<img src=x onerror=alert(1)> & "quoted" {{ 7 * 7 }}' in page.text


def test_page_shows_the_run(truth_run):
    page, _html = _page(truth_run)
    text = " ".join(page.text.split())
    assert "5 in, 2 kept (40 %)" in text  # videos
    assert "4 in, 2 kept (50 %)" in text  # clips
    assert "1 min 15 s" in text
    assert "288 of 192 frames" in text
    assert "one of static, handheld" in text
    assert "4 scored · 1 outside (25 %) · rule clarity, absolute" in text
    assert "value 3.5 threshold 10" in text
    assert "ball enters region box left at 22" in text
    assert "could not be read" in text
    assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")
    assert all(attrs.get("aria-label") for tag, attrs in page.tags if attrs.get("role") == "img")


def test_contact_sheet_shows_decoded_frames_with_drawings(truth_run, scene):
    pictures = _pictures(_page(truth_run)[0])
    # Two strips of four, one reference, two drops.
    assert len(pictures) == 2 * 4 + 1 + 2
    start = pictures[0].astype(int)
    assert start.shape == (234, 416, 3)
    source = cv2.resize(scene("enters_left", frames=48).frames[0], (416, 234)).astype(int)
    # Inside the region box the frame is as it was, outside it is dimmed.
    height, width = source.shape[:2]
    inside = np.s_[height // 3 : height * 2 // 3, width // 3 : width * 2 // 3]
    below = np.s_[-height // 10 :, width // 3 : width * 2 // 3]
    assert np.abs(start[inside] - source[inside]).mean() < 8
    assert start[below].mean() == pytest.approx(0.42 * source[below].mean(), abs=8)


def test_same_run_gives_the_same_page(truth_run, tmp_path):
    first = write_report(truth_run.uri, tmp_path / "a.html").read_bytes()
    assert write_report(truth_run.uri, tmp_path / "b.html").read_bytes() == first


def test_missing_source_file_costs_only_its_pictures(truth_run):
    videos = truth_run.read("videos")
    uris = ["/gone/away.mp4" if "enters_left" in uri else uri for uri in videos["uri"].to_pylist()]
    place = videos.schema.get_field_index("uri")
    truth_run.write_shard("videos", "000", videos.set_column(place, videos.schema.field("uri"), [uris]))
    page, _html = _page(truth_run)
    assert "away.mp4: cannot be read: No such file or directory" in page.text
    assert len(_pictures(page)) == 4 + 1 + 2


def test_empty_run_still_has_a_page(tmp_path):
    run = RunFolder(tmp_path / "empty")
    run.write_bytes("run.yaml", b"preset: laptop\n")
    page, _html = _page(run)
    assert "Nothing was scored" in page.text


@pytest.mark.parametrize("call", [write_report, inspect])
def test_no_run(call, tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        call(str(tmp_path))


def test_no_folder_for_the_page(truth_run, tmp_path):
    with pytest.raises(UsageError, match="no folder"):
        write_report(truth_run.uri, tmp_path / "none" / "page.html")


def test_inspect(truth_run, capsys):
    inspect(truth_run.uri)
    assert re.search(r"samples +│ +2 │", capsys.readouterr().out)
    inspect(truth_run.uri, "tracks", rows=1)
    shown = capsys.readouterr().out
    assert "tracks: 1 of 2 rows" in shown
    assert "[48][12][2]" in shown
    inspect(truth_run.uri, "clips", columns=True)
    assert "area of detected text / frame area" in capsys.readouterr().out
    inspect(truth_run.uri, "samples", columns=True)
    assert "list[list[int32]]" in capsys.readouterr().out
    with pytest.raises(UsageError, match="did you mean 'samples'"):
        inspect(truth_run.uri, "sample")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (0.123456, "0.1235"),
        ([1, 2, 3, 4], "[1, 2, 3, 4]"),
        ([1.0] * 5, "[5]"),
        ([[[1.0, 2.0]] * 12] * 96, "[96][12][2]"),
        ([[1], [1, 2]], "[2][…]"),
        ([None, {"size": [1, 2], "counts": ""}], "[2] <mask 2x1>, …"),
        ({"size": [180, 320], "counts": "x"}, "<mask 320x180>"),
        ({"bytes": b"12345", "path": None}, "<image 5 B>"),
        ([{"x": 1, "points": [[1.0] * 9] * 9}], "[1] {x: 1, points: [9][9]}"),
    ],
)
def test_abbreviate(value, text):
    assert abbreviate(value) == text


_VALUES = st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=1, max_size=60)
_LIMIT = st.none() | st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


@given(_VALUES, _LIMIT, _LIMIT)
def test_histogram_counts_every_value_once(values, low, high):
    histogram = make_histogram(np.array([*values, np.nan]), low, high)
    assert histogram is not None
    assert histogram.missing == 1
    kept = [value for value in values if (low is None or value >= low) and (high is None or value <= high)]
    assert histogram.dropped == len(values) - len(kept)
    counted = {True: 0, False: 0}
    for bar in histogram.bars:
        counted[bar.dropped] += int(re.sub(r".*: ([\d,]+)( dropped)?$", r"\1", bar.title).replace(",", ""))
        assert bar.x >= 0
        assert bar.x + bar.width <= WIDTH + 1
        assert bar.y >= 0
    assert counted == {True: histogram.dropped, False: len(kept)}


def test_histogram_of_nothing():
    assert make_histogram(np.array([np.nan, np.inf]), None, None) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.1, "0.1"),
        (12.0, "12"),
        (100, "100"),
        (1234567.0, "1,234,567"),
        (0.00123, "0.00123"),
        (1e-7, "1.0e-07"),
    ],
)
def test_number(value, text):
    assert number(value) == text
