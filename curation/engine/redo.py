"""Which stages have to run again when settings change: those themselves, what depends on them, and nothing else.

Each stage has a fingerprint of its own settings and of the fingerprints behind every column that it reads. An item's
ledger row holds the fingerprints that it was made with; where one differs now, that stage is stale.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from curation.contract.ids import digest


@dataclass(frozen=True)
class Step:
    """A stage as planning sees it.

    Attributes:
        reads, writes: `manifest.column`, or `manifest` for whole rows.
        settings: fingerprint of its own settings.
    """

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    settings: str


class Chain:
    """The stages of one pass in their order.

    Args:
        earlier: the pass before, whose columns these may read.
        salt: what every stage depends on: the seed, the version of the contract.

    Attributes:
        fingerprints: of every stage by name.
    """

    def __init__(self, steps: Sequence[Step], salt: str, earlier: "Chain | None" = None) -> None:
        self.steps = list(steps)
        self._earlier = earlier
        self.fingerprints: dict[str, str] = {}
        for at, step in enumerate(self.steps):
            behind = [self._behind(column, at) for column in step.reads]
            self.fingerprints[step.name] = digest(salt, step.name, step.settings, *behind)

    @property
    def fingerprint(self) -> str:
        """All of them as one line, the form in which the ledger keeps them."""
        return " ".join(f"{name}={value}" for name, value in self.fingerprints.items())

    def stale(self, made_with: str) -> tuple[str, ...]:
        """Stages whose fingerprint differs from that of an item's ledger row, in order."""
        known = dict(part.split("=", 1) for part in made_with.split() if "=" in part)
        return tuple(name for name, value in self.fingerprints.items() if known.get(name) != value)

    def to_run(self, stale: Iterable[str]) -> tuple[str, ...] | None:
        """The stages to run so that stale ones come out as in a fresh run; None: all, building on nothing.

        Where a stage reads what it or a later stage overwrites, what it has to see is not stored any more: the stages
        that wrote it first run again. They write the same as before.
        """
        chosen = set(stale)
        while True:
            before = len(chosen)
            for at, step in enumerate(self.steps):
                if step.name not in chosen:
                    continue
                for column in step.reads:
                    writers = self._writers(column)
                    if any(writer >= at for writer in writers):
                        chosen |= {self.steps[writer].name for writer in writers if writer < at}
                later = {writer for column in step.writes for writer in self._writers(column) if writer > at}
                chosen |= {self.steps[writer].name for writer in later}
            if len(chosen) == before:
                break
        if len(chosen) == len(self.steps):
            return None
        return tuple(step.name for step in self.steps if step.name in chosen)

    def roots(self, stale: Iterable[str]) -> list[str]:
        """The stale stages that are so by themselves, not because of a stale one of this pass before them."""
        names = set(stale)
        roots = []
        for at, step in enumerate(self.steps):
            behind = {self.steps[writer].name for column in step.reads for writer in self._writers(column)}
            earlier = {other.name for other in self.steps[:at]}
            if step.name in names and not names & behind & earlier:
                roots.append(step.name)
        return roots

    def sources(self, stage: str) -> list[str]:
        """The stages, of this pass and of the one before, whose results a stage depends on, and itself, in order."""
        at = [step.name for step in self.steps].index(stage)
        own, earlier = set(), set()
        for column in self.steps[at].reads:
            writers = [writer for writer in self._writers(column) if writer < at]
            own |= {self.steps[writer].name for writer in writers}
            if not writers and self._earlier:
                earlier |= {self._earlier.steps[writer].name for writer in self._earlier._writers(column)}
        found = {stage}.union(*(self.sources(name) for name in own))
        if self._earlier:
            found = found.union(*(self._earlier.sources(name) for name in earlier))
        every = [*(self._earlier.steps if self._earlier else ()), *self.steps]
        return [step.name for step in every if step.name in found]

    def columns(self, stages: Iterable[str]) -> dict[str, list[str]]:
        """Columns that these stages write, by manifest; whole manifests as an empty list."""
        result: dict[str, list[str]] = {}
        for step in self.steps:
            if step.name in set(stages):
                for written in step.writes:
                    manifest, _, column = written.partition(".")
                    result.setdefault(manifest, []).extend([column] if column else [])
        return result

    def _behind(self, column: str, before: int | None = None) -> str:
        """Fingerprints of the stages before that write a column."""
        writers = [writer for writer in self._writers(column) if before is None or writer < before]
        own = [self.fingerprints[self.steps[writer].name] for writer in writers]
        return "".join(own) or (self._earlier._behind(column) if self._earlier else "")

    def _writers(self, column: str) -> list[int]:
        """Positions of the stages that write (some of) a column, in order."""
        return [at for at, step in enumerate(self.steps) if any(_overlap(column, written) for written in step.writes)]


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def changed_settings(before: Mapping[str, object], now: Mapping[str, object], prefix: str = "") -> list[str]:
    """`key: old -> new` for every value that differs between two dumped configs."""
    lines = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += changed_settings(old, new, f"{prefix}{key}.")
        elif old != new:
            lines.append(f"{prefix}{key}: {_short(old)} -> {_short(new)}")
    return lines


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 30 else text[:27] + "..."
