"""What a stage is: a class that declares what it reads, writes and needs, and works without Ray.

There are two kinds that see frames, one per decode pass. A `FrameStage` watches every frame of a file go by once
(analysis); a `ClipStage` works on a surviving clip whose frames are in memory at working size (labelling). A
`TableStage` sees none. Frames stay inside the process; what a stage hands on is tables.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from curation.contract.errors import ModelError
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


class DeferredClipStage(ClipStage):
    """A ClipStage whose work goes better for many clips at once: asked clip by clip, answered for a whole shard.

    It comes last: no other stage sees what it writes.
    """

    @abstractmethod
    def ask(self, clip: ClipFrames, tables: Tables) -> Any:
        """What must be known of a clip to answer later; its frames are gone by then."""

    @abstractmethod
    def answer(self, asked: Sequence[Any]) -> list[Tables | ModelError]:
        """The tables that it writes of each clip, or what a model could not do with that one."""

    def __call__(self, clip: ClipFrames, tables: Tables) -> Tables:
        """See ClipStage.

        Raises:
            ModelError: there is no answer.
        """
        (answer,) = self.answer([self.ask(clip, tables)])
        if isinstance(answer, ModelError):
            raise answer
        return answer
