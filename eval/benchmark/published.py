"""The published benchmark's files (dataset uva-cv-lab/FrameINO_data): CSVs with JSON in their cells, and folders.

    dataset_csv_files/*FrameIn*/*.csv   and the same with FrameOut
    video_dataset/evaluation_FrameIn/   videos that `video_path` names
    video_dataset/evaluation_ID_FrameIn/   pictures that `ID_info` names

Two layouts of columns are known. The evaluation's (v1.0) counts tracks in frames at 12 per second of the whole video;
the later one (v1.5) in source frames of `valid_duration`. As in the release, the first panoptic frame is taken, its
first object is the one in question, and the largest region box is shown.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from curation.contract.errors import UsageError, VideoError
from curation.contract.ids import video_id
from curation.stages.box_sampler import waiting_side
from curation.video.decode import analyse_frames
from curation.video.open import DecodeConfig
from eval.benchmark.plan import ClipPlan, PlannedObject
from eval.metrics.event_accuracy import Kind

_KINDS: dict[Kind, str] = {"frame_in": "FrameIn", "frame_out": "FrameOut"}
_FPS = 12
_CELL_BYTES = 1 << 26  # tracks of a video are one cell


def is_published(folder: Path) -> bool:
    """Whether a folder holds the published files."""
    return (folder / "dataset_csv_files").is_dir()


class PublishedSource:
    """A `Source`: every row of the CSVs.

    Raises:
        UsageError: there is no CSV for either kind.
    """

    title = "the published benchmark's files, all rows"

    def __init__(self, folder: Path, num_frames: int) -> None:
        self.folder = folder
        self.uri = str(folder.absolute())
        self.num_frames = num_frames
        self.left_out: dict[str, int] = {}
        self._rows: list[tuple[Kind, str, dict[str, str]]] = [
            (kind, f"{file.parent.name}-{file.stem}-{number}", row)
            for kind in _KINDS
            for file in self._files(kind)
            for number, row in _rows(file)
        ]
        if not self._rows:
            raise UsageError(f"{folder}: no dataset_csv_files/*FrameIn*/*.csv or *FrameOut*/*.csv with rows in it")
        self.names = [name for _, name, _ in self._rows]

    def plans(self, done: set[str]) -> Iterator[ClipPlan]:
        """See `Source.plans`."""
        for kind, name, row in self._rows:
            if name in done:
                continue
            try:
                yield self._plan(kind, name, row)
            except VideoError as error:
                self.left_out[f"{name}: {error}"] = 1
            except KeyError as error:
                self.left_out[f"{name}: not as published: no column {error}"] = 1
            except (IndexError, TypeError, ValueError) as error:
                self.left_out[f"{name}: not as published: {type(error).__name__} {error}"] = 1

    def _files(self, kind: Kind) -> list[Path]:
        return sorted((self.folder / "dataset_csv_files").glob(f"*{_KINDS[kind]}*/*.csv"))

    def _plan(self, kind: Kind, name: str, row: Mapping[str, str]) -> ClipPlan:
        path = self._file(f"evaluation_{_KINDS[kind]}", row["video_path"])
        with analyse_frames(str(path), video_id(path.name), DecodeConfig()) as analysis:
            for _ in analysis:
                pass
            video = analysis.facts()
        frames, rows, labels, caption = _timing(row, video["fps_num"] / video["fps_den"], self.num_frames)
        if frames[-1] >= video["frames"]:
            raise VideoError(f"{path.name}: has {video['frames']} frames, frame {frames[-1]} is asked for")
        seen = _cell(row, "Track_Visibility") if "Track_Visibility" in row else None
        objects = []
        for index, track in enumerate(_cell(row, "Track_Traj")):
            points = np.asarray(track, np.float32)[rows]
            if not np.isfinite(points).all():
                raise VideoError("Track_Traj: coordinates that are no numbers")
            inside = np.all((points >= 0) & (points < [video["width"], video["height"]]), axis=2)
            visibility = inside if seen is None else inside & np.asarray(seen[index], bool)[rows]
            objects.append(PlannedObject(f"{name}-{index}", str(labels[index]), points, visibility, None))
        about, boxes = _cell(row, "ID_info")[0]
        (x0, y0), (x1, y1) = max(boxes, key=lambda entry: entry[0])[1:]
        box = [int(x0), int(y0), int(x1), int(y1)]
        if not (0 <= box[0] < box[2] <= video["width"] and 0 <= box[1] < box[3] <= video["height"]):
            raise VideoError(f"region box {box} is none of a frame of {video['width']}x{video['height']}")
        side, event_frame = _crossing(objects[0], np.array(box), kind)
        return ClipPlan(
            sample_id=name,
            kind=kind,
            video=video,
            frames=frames,
            fps=_FPS,
            caption=caption,
            region_box=box,
            objects=objects,
            side=side,
            event_frame=event_frame,
            identity=self._identity(about[1]) if kind == "frame_in" else None,
        )

    def _identity(self, name: str) -> bytes:
        data = self._file(f"evaluation_ID_{_KINDS['frame_in']}", name).read_bytes()
        try:
            with Image.open(io.BytesIO(data)) as picture:
                picture.verify()
        except (OSError, SyntaxError) as error:  # what Pillow says of broken PNGs
            raise VideoError(f"ID reference {name}: no picture: {error}") from error
        return data

    def _file(self, folder: str, name: str) -> Path:
        """A file that a cell names, which must lie in its folder: nobody knows who wrote the CSV."""
        place = (self.folder / "video_dataset" / folder).resolve()
        file = (place / name.strip()).resolve()
        if not file.is_relative_to(place):
            raise VideoError(f"{name!r} is not in {place}")
        if not file.is_file():
            raise VideoError(f"no file {file}")
        return file


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows by column name, with their number in the file, from 1.

    Raises:
        UsageError: it is no CSV.
    """
    before = csv.field_size_limit(_CELL_BYTES)
    try:
        # With or without the mark that Excel writes; a letter that cannot be read costs a caption no more than itself.
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as text:
            reader = csv.DictReader(text)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            yield from enumerate(reader, start=1)
    except csv.Error as error:
        raise UsageError(f"{file}: no CSV: {error}") from error
    finally:
        csv.field_size_limit(before)


def _cell(row: Mapping[str, str], column: str) -> Any:
    """The first panoptic frame's entry of a JSON cell.

    Raises:
        ValueError: it is no JSON, or an empty list.
    """
    text = row[column]
    try:
        return json.loads(text)[0]
    except (ValueError, TypeError, LookupError):
        raise ValueError(f"{column}: no list in JSON: {str(text)[:40]!r}") from None


def _timing(row: Mapping[str, str], fps: float, count: int) -> tuple[list[int], list[int], list[str], str]:
    """(source frames of the clip, rows of the tracks for them, the objects' labels, caption).

    Raises:
        VideoError: the tracks are shorter than `count` frames.
    """
    if "FrameIN_info" in row:
        about = _cell(row, "FrameIN_info")
        first = max(0, int(about[0][1] * about[0][2]))
        rows = list(range(first, first + count))
        # Of the frames at 12 per second, the n-th shows what was last on screen then (FFmpeg's fps filter, round up).
        frames = [int(index * fps / _FPS) for index in rows]
        caption = _cell(row, "Improved_Text_Prompt")
    else:
        about = _cell(row, "Obj_Info")
        first, stride = int(about[0][1]), max(1, round(fps / _FPS))
        rows = list(range(first, first + count * stride, stride))
        start = json.loads(row["valid_duration"])[0]
        frames = [start + index for index in rows]
        caption = _cell(row, "Structured_Text_Prompt")
    there = min(len(track) for track in _cell(row, "Track_Traj"))
    if rows[-1] >= there:
        raise VideoError(f"tracks of {there} frames, {rows[-1] + 1} are needed")
    return frames, rows, [str(entry[0]) for entry in about], str(caption)


def _crossing(item: PlannedObject, box: np.ndarray, kind: Kind) -> tuple[str | None, int | None]:
    """Side and clip frame in which the first point comes into the box, or the last goes out; (None, None) if none."""
    inside = item.visibility & np.all((item.points >= box[:2]) & (item.points < box[2:]), axis=2)
    there = np.flatnonzero(inside.any(axis=1))
    if not there.size:
        return None, None
    frame = int(there[0] if kind == "frame_in" else there[-1])
    outside = frame - 1 if kind == "frame_in" else frame + 1
    if not 0 <= outside < len(inside):
        return None, None
    points = item.points[outside]
    return waiting_side(np.concatenate([points.min(axis=0), points.max(axis=0)]), box), frame
