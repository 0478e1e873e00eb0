"""What one item may take before its worker is killed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """None where the process is not ours to kill.

    Attributes:
        deadline_s: s.
        memory_bytes: resident memory of the whole process.
        session: which run this is; a note of another one says nothing of the item, its run was stopped. Empty: every
            note counts, as where a crash takes the run itself along.
    """

    deadline_s: float | None = None
    memory_bytes: int | None = None
    session: str = ""
