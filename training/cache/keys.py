"""Keys of cached values: equal where the values must be, so that samples share them and a changed one is not found."""

import hashlib


def video_key(video_id: str, video_bytes: int, start_frame: int, stride: int, shape: tuple[int, int, int]) -> str:
    """Of a span of a file as (height, width, frames). Neither path nor run counts: they may move."""
    return _key(video_id, video_bytes, start_frame, stride, *shape)


def text_key(caption: str) -> str:
    return _key(caption)


def identity_key(png: bytes | None, canvas_size: tuple[int, int]) -> str:
    """Of an ID reference (None for none) on a canvas of (height, width)."""
    return _key("" if png is None else hashlib.sha256(png).hexdigest(), *canvas_size)


def _key(*parts: str | int) -> str:
    """128 bits: no two of a billion entries meet."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]
