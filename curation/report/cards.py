"""The contact sheets: which samples and drops to show, and their frames with everything drawn in."""

import base64
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
import polars as pl

from curation.contract.errors import VideoError
from curation.contract.manifest import RunFolder, scan_manifest
from curation.report.drawing import DrawnEvent, Overlay, draw_overlay
from curation.report.histogram import number
from curation.report.overlays import (
    Record,
    SampleView,
    matching_records,
    object_overlay,
    reference_picture,
    sample_views,
)
from curation.report.pictures import display_size, read_pictures

_LONGEST = 416  # px of a picture's longer side: sharp in a quarter of a desktop's width, about 20 kB
_REFERENCE_HEIGHT = 128
_JPEG_QUALITY = 76
_DROPS_PER_RULE = 4
# Items that only fell with what they belong to, or for want of anything below them: shown there, not here.
_DERIVED_RULES = ("video", "clip", "no_clip", "no_object", "no_sample", "readable")


@dataclass(frozen=True)
class Picture:
    """A JPEG as data URI, its size in px, its alternative text and what stands below it."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str


@dataclass
class SampleCard:
    """A sample as the page shows it.

    Attributes:
        objects: (name, CSS colour, is the identity).
        events: (what happens, CSS colour).
        problem: why pictures are missing; null when none is.
    """

    sample_id: str
    file: str
    kinds: str
    strict: bool
    split: str
    caption: str
    facts: str
    objects: list[tuple[str, str, bool]]
    events: list[tuple[str, str]]
    region_boxes: int
    reference: Picture | None
    command: str
    pictures: list[Picture] = field(default_factory=list)
    problem: str | None = None


@dataclass
class DropCard:
    """A dropped item as the page shows it."""

    item_id: str
    file: str
    reason: str
    value: str
    threshold: str
    pictures: list[Picture] = field(default_factory=list)
    problem: str | None = None


@dataclass(frozen=True)
class DropGroup:
    """What one rule dropped: a few cards of `count` items."""

    level: str
    rule: str
    count: int
    cards: list[DropCard]


@dataclass(frozen=True)
class _Order:
    """A picture wanted for a card."""

    card: SampleCard | DropCard
    frame: int
    overlay: Overlay | None
    alt: str
    caption: str


def sample_cards(run: RunFolder, limit: int) -> list[SampleCard]:
    """Up to `limit` samples, taken in turn from every video and kind so that no long video fills the sheet."""
    listing = scan_manifest(run.uri, "samples").select("sample_id", "video_id", "kinds").collect()
    views = sample_views(run, _in_turn(listing, ["video_id", "kinds"], "sample_id")[:limit])
    orders: dict[str, list[_Order]] = defaultdict(list)
    cards = []
    for view in views:
        card = _sample_card(run, view)
        cards.append(card)
        orders[view.video["video_id"]] += _strip(view, card)
    _fill(orders, {view.video["video_id"]: view.video for view in views})
    return cards


def drop_groups(run: RunFolder, verdicts: pl.DataFrame) -> list[DropGroup]:
    """For every rule that measured something, a few of the items that it dropped.

    Args:
        verdicts: the whole manifest.
    """
    lost = verdicts.filter(~pl.col("kept"), ~pl.col("rule").is_in(_DERIVED_RULES))
    counts = lost.group_by("level", "rule").len().sort("level", "rule")
    shown = _nearest(run, lost).partition_by("level", "rule", as_dict=True)
    items = _Items.of(run, [row for rows in shown.values() for row in rows.iter_rows(named=True)])
    orders: dict[str, list[_Order]] = defaultdict(list)
    groups = []
    for level, rule, count in counts.iter_rows():
        cards = [items.card(row, orders) for row in shown[level, rule].iter_rows(named=True)]
        groups.append(DropGroup(level, rule, count, cards))
    _fill(orders, items.videos)
    ranks = {"video": 0, "clip": 1, "object": 2, "sample": 3}
    return sorted(groups, key=lambda group: (ranks.get(group.level, 9), -group.count, group.rule))


@dataclass(frozen=True)
class _Items:
    """Manifest records behind verdicts, by id."""

    videos: dict[str, Record]
    clips: dict[str, Record]
    objects: dict[str, Record]
    tracks: dict[str, Record]

    @classmethod
    def of(cls, run: RunFolder, verdicts: Sequence[Record]) -> "_Items":
        def found(manifest: str, column: str, ids: Iterable[str]) -> dict[str, Record]:
            return {row[column]: row for row in matching_records(run, manifest, column, ids)}

        ids = {level: [v["item_id"] for v in verdicts if v["level"] == level] for level in ("video", "clip", "object")}
        clips = found("clips", "clip_id", ids["clip"])
        objects = found("objects", "object_id", ids["object"])
        owners = {row["video_id"] for row in [*clips.values(), *objects.values()]} | set(ids["video"])
        return cls(found("videos", "video_id", owners), clips, objects, found("tracks", "object_id", ids["object"]))

    def card(self, verdict: Record, orders: dict[str, list[_Order]]) -> DropCard:
        """The card of a dropped item; its picture is ordered."""
        name, level = verdict["item_id"], verdict["level"]
        item = {"video": self.videos, "clip": self.clips, "object": self.objects}.get(level, {}).get(name)
        video = self.videos.get(item["video_id"]) if item else None
        card = DropCard(
            item_id=name,
            file=_file_name(video["uri"]) if video else "",
            reason=verdict["reason"] or "",
            value=_measured(verdict["value"]),
            threshold=_measured(verdict["threshold"]),
        )
        if item is None or video is None or not video["frames"]:
            card.problem = "there is no frame to show"
            return card
        overlay = None
        if level == "video":
            frame = video["frames"] // 2
        elif level == "clip":
            frame = (item["start_frame"] + item["end_frame"]) // 2
        else:
            frame = item["query_frame"]
            overlay = object_overlay(item, self.tracks.get(name), video)
        alt = f"frame {frame} of {card.file}, dropped: {card.reason}"
        orders[video["video_id"]].append(_Order(card, frame, overlay, alt, f"frame {frame}"))
        return card


def _in_turn(listing: pl.DataFrame, groups: Sequence[str], name: str) -> list[str]:
    """Names, one of every group, then the second of every group, and so on."""
    ranked = listing.sort(name).with_columns(_turn=pl.col(name).cum_count().over(groups))
    return ranked.sort(["_turn", *groups, name])[name].to_list()


def _nearest(run: RunFolder, lost: pl.DataFrame) -> pl.DataFrame:
    """Of every rule the few items that it dropped most narrowly, by which a threshold is judged; videos in turn."""
    owners = pl.concat(
        scan_manifest(run.uri, manifest).select(pl.col(column).alias("item_id"), "video_id")
        for manifest, column in (("clips", "clip_id"), ("objects", "object_id"))
    ).collect()
    margin = (pl.col("value") - pl.col("threshold")).abs()
    rows = lost.join(owners, on="item_id", how="left", maintain_order="left").with_columns(_margin=margin)
    rows = rows.with_columns(video_id=pl.coalesce("video_id", "item_id")).sort("_margin", "item_id", nulls_last=True)
    rows = rows.with_columns(_turn=pl.col("item_id").cum_count().over("level", "rule", "video_id"))
    rows = rows.sort("_turn", "_margin", "item_id", nulls_last=True)
    return rows.group_by("level", "rule", maintain_order=True).head(_DROPS_PER_RULE)


def _sample_card(run: RunFolder, view: SampleView) -> SampleCard:
    sample, video = view.sample, view.video
    seconds = view.overlay.seconds
    facts = [
        f"{sample['end_frame'] - sample['start_frame']} frames from {sample['start_frame']}",
        f"{number(seconds[-1]) if seconds else 0} s at {number(sample['fps'])} fps",
        f"{sample['width']}×{sample['height']} px",
    ]
    reference = reference_picture(sample["identity_reference"], _REFERENCE_HEIGHT)
    identity = next((item.name for item in view.overlay.objects if item.is_identity), "object")
    return SampleCard(
        sample_id=sample["sample_id"],
        file=_file_name(video["uri"]),
        kinds=(sample["kinds"] or "").replace("_", " "),
        strict=bool(sample["strict"]),
        split=sample["split"] or "",
        caption=sample["caption"] or "",
        facts=" · ".join(facts),
        objects=[(item.name, _css(item.colour), item.is_identity) for item in view.overlay.objects],
        events=[
            (_event_text(event, event.box == view.overlay.region_box), _css(event.colour))
            for event in sorted(view.overlay.events, key=lambda event: event.frame)
        ],
        region_boxes=len(sample["region_boxes"]) if sample["region_boxes"] is not None else 0,
        reference=None if reference is None else _picture(reference, f"identity reference: {identity}", "ID reference"),
        command=shlex.join(["python", "-m", "curation", "preview", run.uri, sample["sample_id"], "-o", "preview.mp4"]),
    )


def _event_text(event: DrawnEvent, at_region_box: bool) -> str:
    where = "region box" if at_region_box else "frame"
    return f"{event.who} {event.type}s {where} {event.side} at {event.frame}"


def _strip(view: SampleView, card: SampleCard) -> list[_Order]:
    """Start, event, middle and last frame, in order of time, each once."""
    start, end = view.sample["start_frame"], view.sample["end_frame"]
    moments = {start: "start", end - 1: "last"}
    # First the event that the sample is about, then others, unless they come to the same picture.
    for event in sorted(view.overlay.events, key=lambda event: (event.frame != view.event_frame, event.frame)):
        apart = min(abs(event.frame - frame) for frame in moments)
        if len(moments) < 4 and (apart > (end - start) // 20 or event.frame == view.event_frame):
            moments.setdefault(event.frame, f"{event.type} {event.side}")
    # Where something is known already, the largest gap between shown frames tells more than the exact middle.
    while len(moments) < min(4, end - start):
        shown = sorted(moments)
        gap, left = max((b - a, a) for a, b in pairwise(shown))
        moments[left + gap // 2] = "between"
    return [
        _Order(
            card, frame, view.overlay, f"{card.file}, frame {frame}: {moments[frame]}", f"{moments[frame]} · {frame}"
        )
        for frame in sorted(moments)
    ]


def _fill(orders: Mapping[str, Sequence[_Order]], videos: Mapping[str, Record]) -> None:
    """Draw the ordered pictures, opening each video once; a video that cannot be read costs its own pictures only."""
    for name, wanted in sorted(orders.items()):
        video = videos[name]
        by_frame: dict[int, list[_Order]] = defaultdict(list)
        for order in wanted:
            by_frame[order.frame].append(order)
        try:
            for frame, pixels in read_pictures(video, by_frame, display_size(video, _LONGEST, enlarge=True)):
                for order in by_frame.pop(frame):
                    drawn = pixels if order.overlay is None else draw_overlay(pixels, frame, order.overlay)
                    order.card.pictures.append(_picture(drawn, order.alt, order.caption))
        except VideoError as error:
            for order in (order for orders_left in by_frame.values() for order in orders_left):
                order.card.problem = str(error)


def _picture(pixels: np.ndarray, alt: str, caption: str) -> Picture:
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)
    assert done, "a uint8 picture always encodes"
    uri = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
    return Picture(uri, pixels.shape[1], pixels.shape[0], alt, caption)


def _measured(value: float | None) -> str:
    return "" if value is None else number(value)


def _css(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _file_name(uri: str) -> str:
    return uri.rstrip("/").rsplit("/", 1)[-1]
