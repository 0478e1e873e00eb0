"""Both decode passes name the same frames, whatever the codec, the container or the damage.

Every rendered frame carries its number as ten black or white blocks, so that a frame tells which one it is.
"""

import subprocess
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from pyarrow import fs

from curation.contract.errors import VideoError
from curation.contract.ids import generator
from curation.contract.spans import Span
from curation.contract.tables import records, table
from curation.video.clips import read_clips
from curation.video.decode import analyse_frames
from curation.video.open import DecodeConfig
from curation.video.planes import FramePictures
from curation.video.reader import FrameReader

WIDTH, HEIGHT, FRAMES, FPS = 160, 96, 80, 25
CONFIG = DecodeConfig()
EDGE = Path(__file__).parents[2] / "shared" / "data" / "edge"
X264 = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 24 -bf 3"


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """RGB picture with `number` in its top third and a moving coloured pattern below."""
    y, x = np.mgrid[:height, :width]
    red = 128 + 60 * np.sin((x + 3 * number) / 9)
    green = 128 + 60 * np.sin((y - 2 * number) / 7)
    picture = np.stack([red, green, np.full_like(red, 90)], axis=-1).astype(np.uint8)
    for bit in range(10):
        picture[:32, bit * 16 : bit * 16 + 16] = 220 if number >> bit & 1 else 30
    return picture


def number_of(picture: np.ndarray) -> int:
    """The number that a picture, RGB or luma, carries."""
    luma = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return sum(1 << bit for bit in range(10) if luma[8:24, bit * 16 + 4 : bit * 16 + 12].mean() > 128)


def ffmpeg(*arguments: str, stdin: bytes | None = None) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def encode(path: Path, options: str = X264, frames: int = FRAMES, width: int = WIDTH, height: int = HEIGHT) -> Path:
    raw = b"".join(numbered(number, width, height).tobytes() for number in range(frames))
    source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {FPS} -i pipe:".split()
    ffmpeg(*source, *options.split(), str(path), stdin=raw)
    return path


def remux(source: Path, target: Path, before: str = "", after: str = "-c copy") -> Path:
    ffmpeg(*before.split(), "-i", str(source), *after.split(), str(target))
    return target


def analyse(path: Path | str, config: DecodeConfig = CONFIG) -> tuple[dict, list[np.ndarray]]:
    """The `videos` record, once through Arrow and back, and every frame at full size."""
    with analyse_frames(str(path), "video", config) as frames:
        pictures = [frame.rgb(frame.width, frame.height) for frame in frames]
        assert frames.decoded_frames == len(pictures)
        facts = frames.facts()
    return records(table("videos", [facts]))[0], pictures


def spans_of(name: str, frames: int) -> list[Span]:
    """Spans that do not overlap; some of them adjacent, most with gaps."""
    edges = sorted(generator(0, name).choice(np.arange(frames + 1), size=min(6, frames + 1), replace=False).tolist())
    return [Span(edges[0], edges[1]), Span(edges[1], edges[2]), Span(edges[4], edges[5])]


def check_second_pass(path: Path | str, video: dict, pictures: list[np.ndarray]) -> None:
    """Clips of random spans hold the frames of the analysis pass, bit for bit."""
    checksums = [zlib.crc32(np.ascontiguousarray(picture)) for picture in pictures]
    for attempt in range(6):
        spans = spans_of(f"{path}-{attempt}", video["frames"])
        clips = [(str(span), span, [span.start, span.end - 1]) for span in reversed(spans)]
        read = list(read_clips(video, clips, CONFIG, working_side=2048))
        assert [clip.clip_id for clip, _ in read] == [str(span) for span in spans]
        assert [clip.start for clip, _ in read] == [span.start for span in spans]
        for (clip, _), span in zip(read, spans, strict=True):
            assert [zlib.crc32(frame) for frame in clip.frames] == checksums[span.start : span.end]
            assert set(clip.pictures) == {0, span.length - 1}
            assert clip.seconds[0] == 0
            assert clip.seconds.shape == (span.length,)
        assert read[-1][1] <= 2 * video["frames"]


def check_strided_reading(video: dict, pictures: list[np.ndarray]) -> None:
    """Frames with gaps between them are the same, bit for bit, when those in the gaps need not be decoded."""
    for start, stride in ((0, 2), (1, 2), (30, 3), (53, 5)):
        wanted = range(start, video["frames"], stride)
        with FrameReader(video, CONFIG, wanted=wanted) as reader:
            for index in wanted:
                picture = FramePictures(reader.frame(index), video["rotation_deg"]).render(WIDTH, HEIGHT, luma=False)
                assert np.array_equal(picture, pictures[index])


CONTAINERS = {
    "b-frames.mp4": X264,
    "open-gop.mp4": X264 + " -x264-params open-gop=1:keyint=12:min-keyint=12:scenecut=0",
    "open-gop.ts": X264 + " -x264-params open-gop=1:keyint=12:min-keyint=12:scenecut=0",
    "intra-refresh.mp4": X264 + " -x264-params intra-refresh=1:keyint=20 -bf 0",
    "interlaced.mp4": X264 + " -flags +ildct+ilme",
    "full-range.mp4": X264.replace("yuv420p", "yuvj420p"),
    "ten-bit.mp4": X264.replace("yuv420p", "yuv420p10le"),
    "gray.mp4": X264.replace("yuv420p", "gray"),
    "rgb.mp4": "-c:v libx264rgb -preset veryfast -pix_fmt rgb24 -g 24 -bf 2",
    "hevc-open-gop.mp4": "-c:v libx265 -preset ultrafast -x265-params log-level=none:open-gop=1:keyint=16:bframes=3",
    "vp9.webm": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 20",
    "h264.mkv": X264,
    "h264.flv": X264,
    "h264.avi": X264,
    "mpeg4-b-frames.avi": "-c:v mpeg4 -q:v 3 -bf 2 -g 15",
    "mpeg4.avi": "-c:v mpeg4 -q:v 3 -g 15",
    "mjpeg.avi": "-c:v mjpeg -q:v 3",
    "mpeg2.mpg": "-c:v mpeg2video -q:v 3 -bf 2 -g 12",
    "wmv2.wmv": "-c:v wmv2 -q:v 3 -g 15",
    "raw.h264": X264,
    "prores.mov": "-c:v prores_ks -profile:v 0",
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_both_passes_agree_on_every_frame(name: str, tmp_path: Path) -> None:
    path = encode(tmp_path / name, CONTAINERS[name])
    video, pictures = analyse(path)
    assert [number_of(picture) for picture in pictures] == list(range(FRAMES))
    assert video["frames"] == FRAMES
    assert Fraction(video["fps_num"], video["fps_den"]) == FPS
    assert video["duration_s"] == pytest.approx(FRAMES / FPS)
    assert (video["width"], video["height"]) == (WIDTH, HEIGHT)
    assert video["variable_frame_rate"] is False
    assert video["damage"] is None
    assert video["key_frames"][0] == 0
    check_second_pass(path, video, pictures)
    check_strided_reading(video, pictures)


def test_frames_that_nobody_wants_are_not_decoded(tmp_path: Path) -> None:
    video, _ = analyse(encode(tmp_path / "video.mp4"))
    with FrameReader(video, CONFIG, wanted=[20]) as reader:
        reader.frame(20)
        assert reader.decoded_frames < 15


@pytest.mark.parametrize("name", ["b-frames.mp4", "open-gop.mp4", "open-gop.ts", "h264.mkv", "vp9.webm"])
def test_seeking_saves_decoding(name: str, tmp_path: Path) -> None:
    video, _ = analyse(encode(tmp_path / name, CONTAINERS[name]))
    ((clip, decoded),) = read_clips(video, [("end", Span(FRAMES - 5, FRAMES), [])], CONFIG)
    assert [number_of(frame) for frame in clip.frames] == list(range(FRAMES - 5, FRAMES))
    assert decoded < FRAMES / 2


def test_a_wrong_seek_falls_back_to_counting(tmp_path: Path) -> None:
    video, _ = analyse(encode(tmp_path / "video.mp4"))
    video["key_frames"] = np.array([0, 37])  # not a key frame
    clips = [("a", Span(3, 5), []), ("b", Span(40, 50), [])]
    read = [[number_of(frame) for frame in clip.frames] for clip, _ in read_clips(video, clips, CONFIG)]
    assert read == [[3, 4], list(range(40, 50))]


def test_variable_frame_rate_keeps_every_frame_once(tmp_path: Path) -> None:
    path = encode(tmp_path / "video.mp4", rf"-vf select='not(eq(mod(n\,7)\,3))' -fps_mode passthrough {X264}")
    kept = [number for number in range(FRAMES) if number % 7 != 3]
    video, pictures = analyse(path)
    assert [number_of(picture) for picture in pictures] == kept
    assert video["variable_frame_rate"] is True
    assert video["fps_num"] / video["fps_den"] == pytest.approx((len(kept) - 1) / (kept[-1] - kept[0]) * FPS)
    times = np.asarray(video["frame_pts"]) * video["time_base_num"] / video["time_base_den"]
    assert times - times[0] == pytest.approx(np.array(kept) / FPS)
    check_second_pass(path, video, pictures)


def test_an_edit_list_hides_frames_without_damage(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.mp4")
    path = remux(whole, tmp_path / "cut.mp4", before="-ss 1.2")
    video, pictures = analyse(path)
    numbers = [number_of(picture) for picture in pictures]
    assert numbers == list(range(FRAMES - len(numbers), FRAMES))
    assert video["frames"] < video["header_frames"]
    assert video["damage"] is None
    check_second_pass(path, video, pictures)


@pytest.mark.parametrize(("counterclockwise", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_a_rotation_tag_turns_every_picture(counterclockwise: int, turns: int, tmp_path: Path) -> None:
    plain = encode(tmp_path / "plain.mp4", X264 + " -vf setsar=4/3")
    path = remux(plain, tmp_path / "turned.mp4", before=f"-display_rotation {counterclockwise}")
    video, pictures = analyse(path)
    assert video["rotation_deg"] == 360 - counterclockwise
    assert (video["width"], video["height"]) == ((HEIGHT, WIDTH) if turns % 2 else (WIDTH, HEIGHT))
    assert video["pixel_aspect"] == pytest.approx(3 / 4 if turns % 2 else 4 / 3)
    assert [number_of(np.rot90(picture, -turns)) for picture in pictures] == list(range(FRAMES))
    check_second_pass(path, video, pictures)


def test_odd_sizes(tmp_path: Path) -> None:
    path = encode(tmp_path / "odd.mkv", "-c:v ffv1 -pix_fmt yuv420p", width=161, height=97)
    video, pictures = analyse(path)
    assert pictures[0].shape == (97, 161, 3)
    assert [number_of(picture) for picture in pictures] == list(range(FRAMES))
    ((clip, _),) = read_clips(video, [("clip", Span(10, 20), [12])], CONFIG)
    assert clip.frames.shape == (10, 96, 160, 3)
    assert [number_of(frame) for frame in clip.frames] == list(range(10, 20))
    assert clip.pictures[2].shape == (96, 160, 3)


def test_attached_pictures_are_not_the_video(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "cover.png"), numbered(1000))
    video = encode(tmp_path / "plain.mp4")
    path = tmp_path / "covered.mp4"
    maps = "-map 1 -map 0 -c copy -disposition:v:0 attached_pic"
    ffmpeg("-i", str(video), "-i", str(tmp_path / "cover.png"), *maps.split(), str(path))
    record, pictures = analyse(path)
    assert record["codec"] == "h264"
    assert [number_of(picture) for picture in pictures] == list(range(FRAMES))


def test_a_store_is_read_through_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(tmp_path / "video.mp4")
    store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr("curation.video.open.open_filesystem", lambda uri: (store, uri.removeprefix("s3://")))
    video, pictures = analyse("s3://video.mp4")
    assert [number_of(picture) for picture in pictures] == list(range(FRAMES))
    check_second_pass("s3://video.mp4", video, pictures)
    whole = (tmp_path / "video.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VideoError, match=r"cut\.mp4: the MP4 index \(moov\) is missing"):
        analyse("s3://cut.mp4")
    with pytest.raises(VideoError, match=r"missing\.mp4: cannot be read"):
        analyse("s3://missing.mp4")


def cut_file(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize(
    ("name", "options", "note"),
    [
        ("cut.mp4", X264 + " -movflags +faststart", f"the header promises {FRAMES} frames"),
        ("cut.avi", "-c:v mpeg4 -q:v 3 -g 15", f"the header promises {FRAMES} frames"),
        ("cut.mkv", X264, "the header promises 3.20 s"),
    ],
)
def test_a_cut_file_is_damaged_but_read(name: str, options: str, note: str, tmp_path: Path) -> None:
    path = cut_file(encode(tmp_path / name, options), 0.6)
    video, pictures = analyse(path)
    assert note in video["damage"]
    assert "\n" not in video["damage"]
    whole = len(pictures) - 3  # the last ones may be in pieces
    assert [number_of(picture) for picture in pictures[:whole]] == list(range(whole))
    check_second_pass(path, video, pictures)


@pytest.mark.parametrize("name", ["b-frames.mp4", "h264.mkv", "mpeg4.avi", "mpeg2.mpg", "open-gop.ts", "vp9.webm"])
def test_flipped_bits_leave_both_passes_equal(name: str, tmp_path: Path) -> None:
    path = encode(tmp_path / name, CONTAINERS[name])
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    places = generator(3, name).integers(data.size // 5, data.size * 4 // 5, size=25)
    data[places] ^= 1 << (places % 8).astype(np.uint8)
    path.write_bytes(data.tobytes())
    video, pictures = analyse(path)
    assert 0 < video["frames"] <= FRAMES + 1
    if video["damage"] is not None:
        check_second_pass(path, video, pictures)
    else:  # hidden by the decoder, which may do so otherwise after a seek; the frames are still the same ones
        for clip, _ in read_clips(video, [("end", Span(video["frames"] - 5, video["frames"]), [])], CONFIG):
            assert clip.length == 5


def test_packets_that_fail_are_counted(tmp_path: Path) -> None:
    path = encode(tmp_path / "video.mp4", X264.replace("-bf 3", "-bf 0"))
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for place, size in packets[30:33]:
        data[place + 4 : place + size] = bytes(size - 4)
    path.write_bytes(data)
    video, pictures = analyse(path)
    assert video["damage"].startswith(f"3 of {FRAMES} packets do not decode")
    assert "the first at frame 30" in video["damage"]
    assert video["frames"] == FRAMES - 3
    assert [number_of(picture) for picture in pictures[48 - 3 :]] == list(range(48, FRAMES))  # from the next key frame
    check_second_pass(path, video, pictures)


def one_line(path: Path | str, config: DecodeConfig = CONFIG) -> str:
    with pytest.raises(VideoError) as caught:
        analyse(path, config)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_scripts_and_playlists_open_no_other_file(tmp_path: Path) -> None:
    encode(tmp_path / "secret.mp4")
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:3,\n{tmp_path}/secret.mp4\n#EXT-X-ENDLIST\n")
    (tmp_path / "script.mp4").write_text(f"ffconcat version 1.0\nfile '{tmp_path}/secret.mp4'\n")
    cv2.imwrite(str(tmp_path / "picture.png"), numbered(5))
    (tmp_path / "picture.png").rename(tmp_path / "picture.mp4")
    for name in ("list.mp4", "script.mp4", "picture.mp4"):
        assert "refused" in one_line(tmp_path / name)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    video = encode(tmp_path / "video.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "page.mp4").write_text("<html>404 not found</html>")
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", str(tmp_path / "sound.mp4"))
    cut_file(encode(tmp_path / "cut.mp4"), 0.7)
    assert "empty (0 bytes)" in one_line(tmp_path / "empty.mp4")
    assert "not a video" in one_line(tmp_path / "page.mp4")
    assert "no video stream, only audio" in one_line(tmp_path / "sound.mp4")
    assert "moov" in one_line(tmp_path / "cut.mp4")
    assert "No such file" in one_line(tmp_path / "missing.mp4")
    assert "Is a directory" in one_line(tmp_path)
    assert "decode.max_side" in one_line(video, DecodeConfig(max_side=100))
    assert "decode.max_pixels" in one_line(video, DecodeConfig(max_pixels=1000))
    assert "decode.max_bytes" in one_line(video, DecodeConfig(max_bytes=1000))
    # In opening the file or in decoding it, as fast as the machine is.
    assert "ing took longer than 0.0001 s" in one_line(video, DecodeConfig(deadline_s=1e-4))


def test_packets_that_vanish_without_an_error_are_noted(tmp_path: Path) -> None:
    path = encode(tmp_path / "video.mp4", CONTAINERS["hevc-open-gop.mp4"])
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for place, size in packets[10:]:
        data[place + 4] = 40 << 1  # a reserved kind of NAL unit, which decoders skip
        data[place + 4 : place + size] = data[place + 4 : place + 5] * (size - 4)
    path.write_bytes(data)
    video, pictures = analyse(path)
    assert len(pictures) < 15
    assert "packets decode to nothing" in video["damage"]


def test_a_file_in_which_nothing_decodes_is_an_error(tmp_path: Path) -> None:
    path = encode(tmp_path / "video.mp4")
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for place, size in packets:
        data[place + 4 : place + size] = bytes(size - 4)
    path.write_bytes(data)
    assert "no frame decodes" in one_line(path)


def test_a_file_that_changed_between_the_passes_is_refused(tmp_path: Path) -> None:
    video, _ = analyse(encode(tmp_path / "video.mp4"))
    encode(tmp_path / "video.mp4", frames=FRAMES // 2)
    with pytest.raises(VideoError, match="changed since it was analysed"):
        list(read_clips(video, [("clip", Span(0, 5), [])], CONFIG))


@pytest.mark.skipif(not EDGE.is_dir(), reason="needs ../shared/data/edge")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("corrupt_empty.mp4", "empty"),
        ("corrupt_text_not_video.mp4", "not a video"),
        ("corrupt_trunc_nomoov.mp4", "moov"),
        ("edge_audio_only.mp4", "no video stream"),
    ],
)
def test_real_broken_files(name: str, message: str) -> None:
    assert message in one_line(EDGE / name)


@pytest.mark.skipif(not EDGE.is_dir(), reason="needs ../shared/data/edge")
@pytest.mark.parametrize(
    ("name", "note", "frames"),
    [
        ("corrupt_trunc_half.avi", "the header promises 374 frames, 154 decode", 154),
        ("corrupt_upstream_decord.mp4", "1 of 50 packets do not decode", 49),
        ("rot90_3frames.mov", None, 3),
    ],
)
def test_real_odd_files(name: str, note: str | None, frames: int) -> None:
    video, pictures = analyse(EDGE / name)
    assert video["frames"] == len(pictures) == frames
    assert (video["damage"] is None) if note is None else (note in video["damage"])
    if frames > 6:
        check_second_pass(EDGE / name, video, pictures)


@pytest.mark.parametrize(
    "layout", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "nv12", "gray", "gray10le", "gbrp", "rgb24"]
)
@pytest.mark.parametrize("colorspace", [1, 5])
def test_small_pictures_match_ffmpegs_rgb(layout: str, colorspace: int) -> None:
    picture = np.ascontiguousarray(cv2.resize(numbered(0b1011001110), (320, 192), interpolation=cv2.INTER_LINEAR))
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=layout, dst_colorspace=colorspace)
    if not layout.startswith(("gbr", "rgb")):
        frame.colorspace = colorspace
    reference = frame.to_ndarray(format="rgb24")
    for size in [(320, 192), (160, 96), (128, 72), (48, 27), (512, 288)]:
        expected = reference
        if size != (320, 192):
            way = cv2.INTER_LINEAR if size[0] > 320 else cv2.INTER_AREA
            expected = cv2.resize(reference, size, interpolation=way)
        pictures = FramePictures(frame, 0)
        rgb, luma = pictures.render(*size, luma=False), pictures.render(*size, luma=True)
        assert rgb.shape == (size[1], size[0], 3)
        assert luma.shape == (size[1], size[0])
        assert np.abs(rgb.astype(float) - expected).mean() < 2.5
        red, blue = (0.2126, 0.0722) if frame.colorspace == 1 and frame.format.name != "gbrp" else (0.299, 0.114)
        expected_luma = expected @ np.array([red, 1 - red - blue, blue])
        assert np.abs(luma - expected_luma).mean() < 2.5
