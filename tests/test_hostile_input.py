"""Files that want more than to be decoded: other files, other hosts, all of the memory, or no end.

Every one of them lies in a folder beside a secret video, with a server listening that nobody may call.
"""

import ast
import os
import socket
import struct
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import pytest
from typer.testing import CliRunner

from curation.__main__ import app
from curation.contract.errors import VideoError
from curation.contract.ids import generator, video_id
from curation.contract.manifest import RunFolder
from curation.video.decode import analyse_frames
from curation.video.input_config import InputConfig
from curation.video.listing import list_videos
from curation.video.open import DecodeConfig

ROOT = Path(__file__).resolve().parents[1]
CONFIG = DecodeConfig()


def encode(path: Path, width: int = 96, height: int = 64, frames: int = 12, options: str = "-c:v libx264") -> Path:
    source = f"testsrc=size={width}x{height}:rate=12:duration={frames / 12}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-f", "lavfi", "-i", source]
    subprocess.run([*command, *options.split(), "-pix_fmt", "yuv420p", f"file:{path}"], check=True)
    return path


def frames_of(path: Path, config: DecodeConfig = CONFIG) -> int:
    with analyse_frames(str(path), "video", config) as frames:
        for _ in frames:
            pass
        return frames.facts()["frames"]


def refusal(path: Path, config: DecodeConfig = CONFIG) -> str:
    with pytest.raises(VideoError) as caught:
        frames_of(path, config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def server():
    """A listening socket; afterwards nobody may have called."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]
        listening.settimeout(0)
        with pytest.raises(BlockingIOError):
            listening.accept()


TRAPS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet '
    'mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    "svg": '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="64" height="64">'
    '<image href="{target}" width="64" height="64"/></svg>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "ram": "{target}\n",
}


@pytest.mark.parametrize("kind", TRAPS)
@pytest.mark.parametrize("scheme", ["file", "http", "tcp", "subfile"])
def test_what_points_elsewhere_is_refused_and_never_followed(kind, scheme, server, tmp_path):
    secret = encode(tmp_path / "secret.mp4")
    target = {
        "file": str(secret),
        "http": f"http://127.0.0.1:{server}/x.mp4",
        "tcp": f"tcp://127.0.0.1:{server}",
        "subfile": f"subfile,,start,0,end,0,,:{secret}",
    }[scheme]
    (tmp_path / "trap.mp4").write_text(TRAPS[kind].format(target=target, port=server))
    refusal(tmp_path / "trap.mp4")


def test_a_movie_whose_track_lies_in_another_file_is_not_followed(tmp_path):
    """QuickTime's alias references; FFmpeg opens them when told to, and we do not tell it."""
    secret, trap = encode(tmp_path / "secret.mov"), encode(tmp_path / "trap.mov")
    data = trap.read_bytes()
    reference = _alias(secret)
    place = data.index(b"dref") + 12  # after type, version and flags, and the number of entries
    size = struct.unpack(">I", data[place : place + 4])[0]
    moved = data[:place] + reference + data[place + size :]
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = moved.rindex(box, 0, place) - 4
        grown = struct.unpack(">I", moved[at : at + 4])[0] + len(reference) - size
        moved = moved[:at] + struct.pack(">I", grown) + moved[at + 4 :]
    start = moved.index(b"mdat")
    end = moved.index(b"moov")
    trap.write_bytes(moved[: start + 4] + bytes(end - start - 8) + moved[end - 4 :])  # nothing of its own to decode
    with av.open(str(trap), container_options={"enable_drefs": "1", "use_absolute_path": "1"}) as container:
        assert sum(1 for _ in container.decode(video=0)) == 12  # the trap would work
    refusal(trap)


def _alias(target: Path) -> bytes:
    """A data reference of kind `alis` (QuickTime File Format, "Data Reference Atoms"; FFmpeg reads tag 2, a path)."""
    path = str(target).encode()
    body = bytearray(150)
    body[10 : 10 + 5] = b"\4disk"
    body[50 : 50 + len(target.name) + 1] = bytes([len(target.name)]) + target.name.encode()
    struct.pack_into(">hh", body, 130, 1, 1)
    tag = struct.pack(">hH", 2, len(path)) + path + bytes(len(path) % 2) + struct.pack(">hH", -1, 0)
    payload = b"alis" + bytes(4) + bytes(body) + tag
    return struct.pack(">I", len(payload) + 4) + payload


NAMES = (
    "concat:secret.mp4|secret.mp4",
    "subfile,,start,0,end,9,,:secret.mp4",
    "pipe:0.mp4",
    "http:127.0.0.1.mp4",
    "data:,x.mp4",
    "-i.mp4",
    "frame%03d.mp4",
    "new\nline.mp4",
    "$(touch pwned).mp4",
    "'; rm -rf x;'.mp4",
    "<script>alert(1)<script>.mp4",
    "a..mp4",
    "a?b#c&d.mp4",
    "‮4pm.mp4",
    "x" * 240 + ".mp4",
)


def test_names_are_only_names(tmp_path):
    video = encode(tmp_path / "video.bin.mp4").read_bytes()
    folder = tmp_path / "in"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(video)
    (folder / "broken\nname.mp4").write_text("no video")
    files = list_videos(str(folder), InputConfig()).files
    found = {Path(uri).name: (key, uri) for key, uri in files.select("video_id", "uri").iter_rows()}
    assert sorted(found) == sorted([*NAMES, "broken\nname.mp4"])
    for name, (key, uri) in found.items():
        assert key == video_id(name)
        assert key.replace("-", "").isalnum()
        RunFolder(tmp_path / "run").write_bytes(f"ledger/attempts/{key}", b"1")
        if "broken" in name:
            assert "broken name.mp4: not a video" in refusal(Path(uri))
        else:
            assert frames_of(Path(uri)) == 12
    assert files["video_id"].n_unique() == files.height
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "run", "video.bin.mp4"]


def test_frames_that_grow_behind_a_small_header_are_refused(tmp_path):
    small = encode(tmp_path / "small.h264", options="-c:v libx264 -f h264")
    large = encode(tmp_path / "large.h264", 640, 480, options="-c:v libx264 -f h264")
    both = tmp_path / "both.h264"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    assert frames_of(both) == 24
    assert "640x480 is more than decode.max_pixels = 100000" in refusal(both, DecodeConfig(max_pixels=100_000))
    assert "more frames than decode.max_frames = 20" in refusal(both, DecodeConfig(max_frames=20))


def test_a_frame_of_16k_is_refused(tmp_path):
    path = encode(tmp_path / "wide.avi", 15360, 8640, 1, "-c:v mjpeg")
    assert "15360x8640 is more than decode.max_pixels" in refusal(path)


@pytest.mark.parametrize("box", [b"mvhd", b"mdhd", b"tkhd", b"stts", b"stsz", b"stco", b"stsc", b"stss", b"avcC"])
def test_headers_that_lie_cost_their_file_and_no_more(box, tmp_path):
    """Boxes full of the largest or of random numbers: a record or a refusal, never another exception."""
    whole = encode(tmp_path / "whole.mp4").read_bytes()
    place = whole.index(box) + 4
    length = struct.unpack(">I", whole[place - 8 : place - 4])[0] - 8
    for attempt in range(6):
        rng = generator(attempt, box.decode())
        data = bytearray(whole)
        count = length - 8 if attempt % 2 else min(8, length - 8)
        start = place + 8 + int(rng.integers(0, max(1, length - 8 - count + 1)))
        fill = b"\x7f" + b"\xff" * 3 if attempt < 2 else rng.bytes(4)
        data[start : start + count] = (fill * (count // 4 + 1))[:count]
        path = tmp_path / "lies.mp4"
        path.write_bytes(bytes(data))
        try:
            assert frames_of(path, DecodeConfig(deadline_s=20)) <= 24
        except VideoError as error:
            assert "\n" not in str(error)


def test_noise_behind_any_signature_is_refused(tmp_path):
    noise = generator(0, "noise").bytes(20_000)
    for head in (
        b"\x00\x00\x00\x18ftypisom",
        b"\x1aE\xdf\xa3",
        b"RIFF\xff\xff\xff\x7fAVI LIST",
        b"FLV\x01\x05",
        b"OggS",
    ):
        (tmp_path / "noise.mp4").write_bytes(head + noise)
        refusal(tmp_path / "noise.mp4")


def test_no_data_path_runs_what_it_reads():
    """No pickle; no torch.load that would unpickle; no YAML that builds objects."""
    found = []
    for package in ("curation", "training", "inference", "eval", "cluster"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and _is_unsafe(node):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found


def _is_unsafe(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name in ("torch.load", "torch.hub.load_state_dict_from_url"):
        return given.get("weights_only") != "True"
    if name in ("np.load", "numpy.load"):
        return given.get("allow_pickle", "False") != "False"
    return name in ("pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load", "joblib.load", "marshal.loads")


def test_a_name_that_is_no_text_does_not_stop_a_run(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/a\xff\xfe.mp4")).write_text("no video")
    result = CliRunner().invoke(
        app, ["run", "--input", str(folder), "--output", str(tmp_path / "run"), "--set", "engine.name=inline"]
    )
    assert result.exit_code == 0, result.output
    assert "1 could not be read" in result.output
