"""Render a data set, several clips at a time."""

import multiprocessing
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import typer

from curation.contract.errors import UsageError
from curation.engine.progress import progress
from eval.labels.dataset import make_clip, read_data, write_index


def make_data(output: Path, seed: int, clips: int) -> None:
    """Render clips 0 .. `clips` - 1 of data set `seed` into `output`, and say what is in it.

    Raises:
        UsageError: the folder holds something else.
    """
    if output.is_file() or (output.is_dir() and any(output.iterdir()) and not (output / "clips").is_dir()):
        raise UsageError(f"{output}: is no data set and not empty; name a new folder")
    (output / "clips").mkdir(parents=True, exist_ok=True)
    entries = {}
    # Spawned processes: a fork of a process with OpenCV's and PyAV's threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool, progress("render", clips, "clips") as shown:
        work = {pool.submit(make_clip, output, seed, index): index for index in range(clips)}
        for done in as_completed(work):
            entries[work[done]] = done.result()
            shown.advance(1, entries[work[done]]["file"])
    write_index(output, seed, [entries[index] for index in sorted(entries)])
    data = read_data(output)
    moving = sum(item.moving for clip in data for item in clip.objects or ())
    events = sum(len(clip.events or ()) for clip in data)
    kinds = Counter(item.kind for clip in data for item in clip.transitions or ())
    joined = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "no"
    typer.echo(f"{output}: {clips} clips, {moving} moving objects, {events} border events, {joined} transitions")
