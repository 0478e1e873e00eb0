"""The unit of work and of commitment: a shard is a few items whose output appears together or not at all."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

BAD = ("failed", "unfinished")  # states of items that did not come to what they should


@dataclass(frozen=True)
class Item:
    """A video to analyse, or one whose clips are to be labelled.

    Attributes:
        item_id: the video_id.
        uri, bytes: the file.
        clips: clip_ids to label; empty in the analysis pass.
        analysis_shard: shard of the analysis pass that holds the video; empty in that pass.
        payload: what else a pass of another package must know of the item.
        redo: stages to run again, where earlier results of the item are there to build on; None for all of them, on
            nothing. Empty: clips that have labels keep them.
        settled: there is nothing to do, the item only shares its shard with others.
    """

    item_id: str
    uri: str
    bytes: int
    clips: tuple[str, ...] = ()
    analysis_shard: str = ""
    payload: str = ""
    redo: tuple[str, ...] | None = None
    settled: bool = False


@dataclass(frozen=True)
class Shard:
    """
    Attributes:
        name: of its files in every dataset; a shard that is there already is replaced.
    """

    name: str
    items: tuple[Item, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Shard":
        data = json.loads(text)
        return Shard(data["name"], tuple(_item(item) for item in data["items"]))


def _item(data: dict[str, Any]) -> Item:
    redo = data["redo"]
    return Item(**data | {"clips": tuple(data["clips"]), "redo": None if redo is None else tuple(redo)})


@dataclass
class ItemReport:
    """What one item came to: a row of the ledger.

    Attributes:
        state: done / skipped (a cheap rule said so before decoding was analysed) / failed / unfinished (nothing is
            wrong with it, storage failed: the next run tries again).
        detail: the error of a failed item, one line.
        clip_errors: clip_id -> error of clips that could not be labelled.
        model_error: the last thing that a model could not do with the item or a clip of it; the next run tries again.
        stop: why the whole run must end; the shard is then not committed.
        worker: host and process that did the work.
        counts: what backends counted meanwhile: models loaded, tokens, cost.
        source_frames: frames of the file; decoded_frames: frames decoded for it in this pass, seeks included.
        seconds: wall time; stage_seconds: the same by stage.
        fingerprint: of the settings that it was made with; empty for those of the run at work.
    """

    item_id: str
    uri: str
    bytes: int
    state: str = "done"
    detail: str | None = None
    clips: list[str] = field(default_factory=list)
    clip_errors: dict[str, str] = field(default_factory=dict)
    model_error: str | None = None
    stop: str | None = None
    worker: str = ""
    counts: dict[str, float] = field(default_factory=dict)
    source_frames: int = 0
    decoded_frames: int = 0
    seconds: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass
class ShardReport:
    """What a shard came to.

    Attributes:
        deferred: items that were left out, as they may take down the worker: each wants a shard of its own.
    """

    name: str
    items: list[ItemReport]
    deferred: list[Item] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "ShardReport":
        data: dict[str, Any] = json.loads(text)
        items = [ItemReport(**item) for item in data["items"]]
        return ShardReport(data["name"], items, [_item(item) for item in data["deferred"]])


class ShardWorker(Protocol):
    """Built once per process from (run uri, config); processes shards and commits their output itself."""

    def __call__(self, shard: Shard) -> ShardReport: ...


def make_shards(pass_name: str, items: Sequence[Item], size: int | None) -> list[Shard]:
    """Group pending items, in their order, into shards whose names depend on what is in them.

    By default there are at most about 1,024 shards, of at most 64 items, so that ten clips spread over all workers, a
    worker that dies takes little along, and a million do not become a million files.
    """
    per_shard = shard_size(len(items), size)
    groups = [tuple(items[i : i + per_shard]) for i in range(0, len(items), per_shard)]
    return [Shard(shard_name(pass_name, [item.item_id for item in group]), group) for group in groups]


def shard_size(items: int, size: int | None) -> int:
    """Items per shard; `size`: when it is given."""
    return size or min(64, max(1, items // 1024))


def shard_name(pass_name: str, item_ids: Iterable[str]) -> str:
    return f"{pass_name}-{hashlib.sha256(chr(0).join(item_ids).encode()).hexdigest()[:16]}"


def pass_of(shard_name: str) -> str:
    return shard_name.rpartition("-")[0]
