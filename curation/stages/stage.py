"""What a stage is: a class that declares what it reads, writes and needs, and works without Ray.

There are two kinds that see frames, one per decode pass. A `FrameStage` watches every frame of a file go by once
(analysis); a `ClipStage` works on a surviving clip whose frames are in memory at working size (labelling). A
`TableStage` sees none. Frames stay inside the process; what a stage hands on is tables.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from curation.contract.tables import Tables
from curation.video.media import ClipFrames, DecodedFrame, VideoHeader


@dataclass(frozen=True)
class Resources:
    """What one worker needs to run a stage."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory_mb: int = 1024


class Stage(ABC):
    """Declarations that every stage makes. `reads` and `writes` name `manifest.column`."""

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]
    writes: ClassVar[tuple[str, ...]]
    resources: Resources = Resources()


class FrameObserver(ABC):
    """State of one FrameStage over one video."""

    @abstractmethod
    def observe(self, frame: DecodedFrame) -> None:
        """Called once for every decoded frame, in order of presentation."""

    @abstractmethod
    def finish(self, tables: Tables) -> Tables:
        """Called after the last frame, with what the stages before this one wrote; returns what this one writes."""


class FrameStage(Stage):
    """A stage of the analysis pass."""

    @abstractmethod
    def start(self, header: VideoHeader) -> FrameObserver:
        """Begin one video."""


class TableStage(Stage):
    """A stage that needs no frames: it runs after the last one, on what the stages before it wrote."""

    @abstractmethod
    def __call__(self, tables: Tables) -> Tables:
        """Returns the tables that it writes, whole."""


class ClipStage(Stage):
    """A stage of the labelling pass."""

    @abstractmethod
    def __call__(self, clip: ClipFrames, tables: Tables) -> Tables:
        """Label one clip from its frames and the tables of earlier stages; returns the tables that it writes.

        `tables` always holds one row each in `videos` and `clips`, for this clip.
        """
