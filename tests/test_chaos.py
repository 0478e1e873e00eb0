"""What clusters do to runs, done to one on purpose: `make chaos`. Minutes each; all that is random goes by seed."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil
import pytest

from curation.contract import ids
from curation.contract.manifest import RunFolder
from curation.contract.schemas import SCHEMAS
from curation.engine import analyse, label
from curation.engine.attempts import items_in_work
from curation.engine.ledger import Ledger
from eval.labels.render import render
from eval.labels.scenes import ready_made
from eval.labels.write import write_clip
from tests.s3_server import CREDENTIALS, SERVER, S3Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ROOT = Path(__file__).resolve().parents[1]
SCENES = ("enters_left", "exits_right", "static_cross_left_right")
HANGS = ("hang_1.mp4", "hang_2.mp4")
DEADLINE_S = 60
SIZE: dict[str, Any] = {"num_cpus": 1, "memory": 4 << 30, "object_store_memory": 100 << 20}  # of a node
# Every clip is labelled; cheap where the worth of the labels does not matter here.
OPTIONS = [
    *("--preset", "everything"),
    *(
        part
        for setting in (
            *("shots.backend=pyscenedetect", "image_scores.positions=[0.5]", "objects.max_prompts=2"),
            *("samples.min_seconds=1", f"engine.item_deadline_s={DEADLINE_S}"),
        )
        for part in ("--set", setting)
    ),
]


def make_clips(folder: Path, count: int, width: int = 96, height: int = 64, frames: int = 20) -> None:
    folder.mkdir(exist_ok=True)
    look = {"width": width, "height": height, "frames": frames, "fps": Fraction(12)}
    for number in range(count):
        clip = render(ready_made(SCENES[number % len(SCENES)], **look, seed=number))
        write_clip(clip.frames, folder / f"clip_{number:03d}.mp4", clip.fps)


def make_bad(folder: Path, count: int) -> list[str]:
    """Files that cannot be read, each in one of three ways; returns their names."""
    names = [f"bad_{number:02d}.mp4" for number in range(count)]
    whole = (folder / "clip_000.mp4").read_bytes()
    for number, name in enumerate(names):
        (folder / name).write_bytes((b"", b"this is no video", whole[: len(whole) // 2])[number % 3])
    return names


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> tuple[Path, list[str]]:
    """200 clips, 5 % files that cannot be read, and two more that will hang; the names of those that are no videos."""
    folder = tmp_path_factory.mktemp("chaos") / "videos"
    make_clips(folder, 200)
    bad = make_bad(folder, 10)
    for name in HANGS:
        (folder / name).write_text("will be replaced")
    return folder, [*bad, *HANGS]


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    """Clips that take a second or so, or between two of them workers would mostly wait for the next."""
    folder = tmp_path_factory.mktemp("kill") / "videos"
    make_clips(folder, 40, 240, 160, 48)
    make_bad(folder, 3)
    return folder


@pytest.fixture(scope="module")
def calm_few(few, tmp_path_factory) -> RunFolder:
    return calm_run(few, tmp_path_factory.mktemp("calm_few"))


def started(source: str, run: str, environment: dict[str, str], log: Path, *options: str) -> subprocess.Popen:
    """What it says goes to a file: Ray says much of every worker that dies, and a pipe that nobody reads stops it."""
    command = [sys.executable, "-m", "curation", "run", "--input", source, "--output", run, *OPTIONS, *options]
    with log.open("w") as file:
        return subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdout=file, stderr=subprocess.STDOUT, text=True
        )


def calm_run(source: Path, folder: Path) -> RunFolder:
    folder.mkdir(exist_ok=True)
    work = started(str(source), str(folder / "run"), {}, folder / "log", "--set", "engine.name=inline")
    assert work.wait() == 0, (folder / "log").read_text()
    return RunFolder(folder / "run")


@pytest.fixture(scope="module")
def calm(videos, tmp_path_factory) -> RunFolder:
    return calm_run(videos[0], tmp_path_factory.mktemp("calm"))


def healthy_rows(run: RunFolder, bad: list[str]) -> dict[str, list[str]]:
    """Rows of every manifest that are not about `bad` files, as sorted text, without the place of the source."""
    names = tuple(ids.video_id(name) for name in bad)
    result = {}
    for manifest in SCHEMAS:
        rows = [row | {"uri": None} for row in run.read(manifest).to_pylist()]
        result[manifest] = sorted(
            repr(row) for row in rows if not str(row.get("video_id") or row["item_id"]).startswith(names)
        )
    return result


def assert_same(run: RunFolder, other: RunFolder, bad: list[str]) -> None:
    ours, theirs = healthy_rows(run, bad), healthy_rows(other, bad)
    assert {name: len(rows) for name, rows in ours.items()} == {name: len(rows) for name, rows in theirs.items()}
    assert all(theirs[name] for name in SCHEMAS)
    for manifest in SCHEMAS:
        assert ours[manifest] == theirs[manifest], manifest


def committed(run: RunFolder) -> int:
    return len(run.shards("ledger/analyse")) + len(run.shards("ledger/label"))


def patiently(start: Callable[[], Any]) -> Any:
    """Try three times: Ray gives a node half a minute, too little while other work holds the machine.

    What such a start left behind goes when the test's process ends.
    """
    for _ in range(2):
        try:
            return start()
        except Exception as error:  # Ray has no class of its own for this.
            if "timed out" not in str(error).lower():
                raise
    return start()


@contextmanager
def three_nodes() -> Iterator["Nodes"]:
    """A Ray cluster of three nodes with a CPU each, on this machine."""
    from ray.cluster_utils import Cluster

    # Ray makes workers nicer than whoever starts them; here that would only slow the test.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args=SIZE | {"include_dashboard": False}))
        try:
            others = [patiently(lambda: cluster.add_node(**SIZE)) for _ in range(2)]
            yield Nodes(cluster, others)
        finally:
            cluster.shutdown()


@dataclass
class Nodes:
    """A cluster of `ray.cluster_utils`, and its nodes but the head's."""

    cluster: Any
    others: list[Any]

    @property
    def environment(self) -> dict[str, str]:
        return {"RAY_ADDRESS": self.cluster.address, "RAY_AUTH_MODE": "disabled"}

    def busy_workers(self) -> list[psutil.Process]:
        """Processes of our workers that are at a shard."""
        found = []
        for node in self.cluster.list_all_nodes():
            for raylet in node.all_processes.get("raylet", []):
                try:
                    workers = psutil.Process(raylet.process.pid).children(recursive=True)
                    found += [worker for worker in workers if "_task" in " ".join(worker.cmdline())]
                except psutil.NoSuchProcess:
                    continue
        return found

    def replace_one(self) -> None:
        """One node goes without a word, another one comes."""
        self.cluster.remove_node(self.others.pop(), allow_graceful=False)
        self.others.append(patiently(lambda: self.cluster.add_node(**SIZE)))

    def spilled_bytes(self) -> int:
        from ray._private import internal_api

        reply = internal_api.get_memory_info_reply(internal_api.get_state_from_address(self.cluster.address))
        return reply.store_stats.spilled_bytes_total


@dataclass
class Damage:
    kills: int = 0
    nodes: int = 0
    seconds: float = 0.0


@contextmanager
def reads_that_hang(folder: Path) -> Iterator[Callable[[], None]]:
    """Call it, and who opens one of the HANGS waits for ever, as on a mount whose server went: they become pipes."""

    def hang() -> None:
        for name in HANGS:
            (folder / name).unlink()
            os.mkfifo(folder / name)

    try:
        yield hang
    finally:
        for name in HANGS:
            (folder / name).unlink()
            (folder / name).write_text("will be replaced")


def torment(work: subprocess.Popen, run: RunFolder, nodes: Nodes, chance: random.Random) -> Damage:
    """Until the run ends: SIGKILL for a busy worker every few seconds, and in the middle a node is replaced.

    A worker's start takes longer than that on a machine with much else to do; so that the run gets anywhere at all,
    eight items are committed between two kills.
    """
    damage, began = Damage(), time.monotonic()
    next_kill, next_count = began + 2, 4
    while work.poll() is None:
        time.sleep(0.2)
        done = committed(run)
        if done >= 150 and not damage.nodes:
            nodes.replace_one()
            damage.nodes = 1
        busy = nodes.busy_workers()
        if time.monotonic() < next_kill or done < next_count or not busy:
            continue
        victim = chance.choice(busy)
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            continue
        damage.kills += 1
        next_kill, next_count = time.monotonic() + chance.uniform(2, 5), done + 8
    damage.seconds = time.monotonic() - began
    return damage


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_three_nodes_in_chaos(seed, videos, calm, tmp_path, capsys):
    folder, bad = videos
    run, log = RunFolder(tmp_path / "run"), tmp_path / "log"
    with three_nodes() as nodes, reads_that_hang(folder) as hang:
        work = started(str(folder), run.uri, nodes.environment, log)
        while f"{len(list(folder.iterdir()))} videos in" not in log.read_text():
            assert work.poll() is None, log.read_text()
            time.sleep(0.05)
        hang()
        damage = torment(work, run, nodes, random.Random(seed))
        assert work.returncode == 0, log.read_text()
        assert nodes.spilled_bytes() == 0
    with capsys.disabled():
        sys.stdout.write(f"\nseed {seed}: {damage}\n")
    assert damage.kills >= 10
    assert damage.nodes == 1
    assert_same(run, calm, bad)
    verdicts = [row for row in run.read("verdicts").to_pylist() if row["level"] == "video" and not row["kept"]]
    reasons = {row["item_id"]: row["reason"] for row in verdicts}
    for name in bad:
        assert reasons[ids.video_id(name)]
    for name in HANGS:
        assert "its worker hung 2 times in the analyse pass" in reasons[ids.video_id(name)]


PASSES = {analyse.PASS: analyse.DATASETS, label.PASS: label.DATASETS}


@dataclass(frozen=True)
class Kill:
    """What a SIGKILL of the driver met.

    Attributes:
        shards: committed until then.
        at_work: items that workers were at, `pass: item`.
        lost: frames that are decoded again because of it, as a share of what the whole run decodes.
    """

    shards: int
    at_work: set[str]
    lost: float


def kill_and_resume(
    source: str, run: RunFolder, moments: list[tuple[int, float]], nodes: Nodes, log: Path
) -> list[Kill]:
    """SIGKILL the driver, again and again, then let it finish.

    Args:
        moments: so many shards are committed, and so many seconds later.
    """
    met = []
    for moment, later in moments:
        work = started(source, run.uri, nodes.environment, log)
        while committed(run) < moment and work.poll() is None:
            time.sleep(0.02)
        time.sleep(later)
        assert work.poll() is None, log.read_text()
        at_work = {name for name, _ in items_in_work(run)}
        work.kill()
        work.wait()
        settle(nodes)
        met.append((moment, at_work, at_work - set(decoded_frames(run)), uncommitted(run)))
    work = started(source, run.uri, nodes.environment, log)
    assert work.wait() == 0, log.read_text()
    frames = decoded_frames(run)
    most, whole = max(frames.values()), sum(frames.values())
    return [
        Kill(moment, at_work, (sum(frames[item] for item in lost) + most * shards) / whole)
        for moment, at_work, lost, shards in met
    ]


def decoded_frames(run: RunFolder) -> dict[str, int]:
    """Of every committed item, by `pass: item`."""
    frames = {}
    for name, datasets in PASSES.items():
        rows = Ledger(run, name, datasets).frame(["item_id", "decoded_frames"]).select("item_id", "decoded_frames")
        frames |= {f"{name}: {item}": count for item, count in rows.iter_rows()}
    return frames


def uncommitted(run: RunFolder) -> int:
    """Shards (here of one item) that are written, in whole or in part, and do not count yet."""
    return sum(
        len({shard for dataset in datasets for shard in run.shards(dataset)} - set(run.shards(f"ledger/{name}")))
        for name, datasets in PASSES.items()
    )


def settle(nodes: Nodes) -> None:
    """Wait until no worker of a killed driver is at work any more."""
    deadline = time.monotonic() + 60
    while nodes.busy_workers():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_kill_9_of_the_driver_at_ten_moments(few, calm_few, tmp_path, capsys):
    run = RunFolder(tmp_path / "run")
    with three_nodes() as nodes:
        kills = kill_and_resume(str(few), run, ten_moments(calm_few, seed=8), nodes, tmp_path / "log")
    assert_little_lost(kills, capsys)
    assert_same(run, calm_few, [])


def test_kill_9_of_the_driver_at_ten_moments_on_s3(few, calm_few, tmp_path, capsys):
    if not SERVER.exists():
        pytest.skip("needs moto's server: make .venv-s3")
    with pytest.MonkeyPatch.context() as patch, S3Server() as server:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        server.upload(few, "in")
        run = RunFolder(server.uri("run"))
        with three_nodes() as nodes:
            kills = kill_and_resume(server.uri("in"), run, ten_moments(calm_few, seed=9), nodes, tmp_path / "log")
        assert_little_lost(kills, capsys)
        assert_same(run, calm_few, [])


def ten_moments(calm: RunFolder, seed: int) -> list[tuple[int, float]]:
    """For `kill_and_resume`. At the instant of a commit its worker is at nothing, hence the part of a second."""
    chance = random.Random(seed)
    shards = sorted(chance.sample(range(1, committed(calm)), 10))
    return [(count, chance.uniform(0, 1)) for count in shards]


def assert_little_lost(kills: list[Kill], capsys: pytest.CaptureFixture) -> None:
    with capsys.disabled():
        for kill in kills:
            sys.stdout.write(f"\nkilled after {kill.shards} shards, {len(kill.at_work)} items in work: {kill.lost:.1%}")
    assert sum(bool(kill.at_work) for kill in kills) >= 3  # 6 to 8 as measured; else nothing was there to be lost
    assert max(kill.lost for kill in kills) < 0.15
