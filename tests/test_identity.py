"""Identity references: what is opaque is the object."""

import io
from fractions import Fraction

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curation.contract.tables import records, table
from curation.stages.identity import IdentityConfig, IdentityReferences, cut_out, sure_part, without_islands
from curation.video.media import ClipFrames

GREEN, RED = (20, 200, 40), (210, 30, 30)


def read(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def scene(x, y, side, width=320, height=180, scale=1):
    """A red square on green: (picture at `scale` times the size, mask)."""
    mask = np.zeros((height, width), bool)
    mask[max(0, y) : y + side, max(0, x) : x + side] = True
    picture = np.where(mask[..., None], RED, GREEN).astype(np.uint8)
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST), mask


def purity(rgba):
    opaque = rgba[..., 3] > 127
    return (rgba[opaque][:, 0] > 120).mean()


@settings(max_examples=40, deadline=None)
@given(x=st.integers(-20, 290), y=st.integers(-20, 150), side=st.integers(24, 90), scale=st.sampled_from([1, 2, 4]))
def test_opaque_pixels_are_the_object_even_when_the_mask_is_a_little_large(x, y, side, scale):
    picture, mask = scene(x, y, side, scale=scale)
    swollen = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    rgba = read(cut_out(picture, swollen, IdentityConfig())[0])
    assert purity(rgba) >= 0.95
    assert (rgba[..., 3] > 127).sum() >= 0.5 * mask.sum() * scale**2


def test_the_ground_is_transparent_and_black_and_the_edge_fades():
    picture, mask = scene(100, 60, 60, scale=2)
    rgba = read(cut_out(picture, mask, IdentityConfig())[0])
    assert rgba[0, 0].tolist() == [0, 0, 0, 0]
    assert rgba[60, 60].tolist() == [*RED, 255]
    assert ((rgba[..., 3] > 0) & (rgba[..., 3] < 255)).any()


def test_a_mask_of_one_pixel_still_gives_a_picture():
    picture, mask = scene(100, 60, 1)
    assert read(cut_out(picture, mask, IdentityConfig())[0]).size


def test_islands_are_left_out():
    mask = np.zeros((60, 60), bool)
    mask[5:25, 5:25] = mask[30:45, 30:45] = True
    kept = mask.copy()
    mask[50:53, 50:53] = True
    assert (without_islands(mask) == kept).all()


def clip_and_tables(query=0, pictures=(0, 40), frames=60, hidden=()):
    masks = np.zeros((frames, 180, 320), bool)
    pixels = np.empty((frames, 180, 320, 3), np.uint8)
    for index in range(frames):
        pixels[index], masks[index] = scene(-60 + 4 * index, 60, 60)
    for index in hidden:
        masks[index] = False
    clip = ClipFrames(
        video_id="video",
        clip_id="clip",
        start=100,
        fps=Fraction(25),
        frames=pixels,
        seconds=np.arange(frames) / 25,
        source_width=1280,
        source_height=720,
        pictures={i: cv2.resize(pixels[i], (1280, 720), interpolation=cv2.INTER_NEAREST) for i in pictures},
        cache={"masks": {"object": masks}},
    )
    ids = {"object_id": "object", "clip_id": "clip", "video_id": "video"}
    return clip, {
        "objects": table("objects", [{**ids, "query_frame": 100 + query}]),
        "tracks": table("tracks", [{**ids, "start_frame": 100, "end_frame": 100 + frames}]),
    }


def references(clip, tables):
    (row,) = records(IdentityReferences()(clip, tables)["objects"])
    return row["identity_reference"], row["more_references"]


def test_the_main_reference_is_cut_from_the_nearest_large_picture_that_shows_the_object():
    main, more = references(*clip_and_tables(query=2, pictures=(0, 40)))
    # 60 px of the working size are 240 px of the picture; nothing is seen in frame 0 yet.
    assert 200 <= read(main["bytes"]).shape[0] <= 280
    assert 2 <= len(more) <= 3
    assert all(purity(read(image["bytes"])) >= 0.95 for image in (main, *more))
    assert main["path"] is None


def test_without_a_large_picture_the_working_frame_serves():
    main, _ = references(*clip_and_tables(query=30, pictures=()))
    assert 50 <= read(main["bytes"]).shape[0] <= 70


def test_an_object_that_is_never_seen_has_none():
    assert references(*clip_and_tables(hidden=range(60))) == (None, [])


def test_references_are_the_same_for_the_same_seed():
    assert references(*clip_and_tables()) == references(*clip_and_tables())


def test_what_a_mask_takes_in_for_a_moment_is_cut_away():
    clip, _ = clip_and_tables()
    masks = clip.cache["masks"]["object"]
    alone = masks[30].copy()
    masks[29:32, 118:130, 60:150] = True  # a shadow below, over three frames
    points = np.array([[[4.0 * (-60 + 4 * t + x), 400.0] for x in (20, 40)] for t in range(60)])
    track = {"start_frame": 100, "points": points, "visibility": np.ones((60, 2), bool)}
    kept = sure_part(clip, masks, track, 30, IdentityConfig())
    assert (kept == alone).mean() > 0.998
    track["visibility"][:] = False  # nothing tells how it moves
    assert (sure_part(clip, masks, track, 30, IdentityConfig()) == masks[30]).all()
