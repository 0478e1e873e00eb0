"""Scenes to frames with exact truth. Numpy and OpenCV only; the same scene gives the same bytes.

World px equal frame px while the camera rests. Points are continuous with integers at pixel centres.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from curation.contract.ids import generator
from eval.labels.motion import wobble
from eval.labels.scene import Join, Scene, Sequence
from eval.labels.sprites import Shadow, Sprite, draw_sprite, sprite_to_world, texel_to_sprite
from eval.labels.textures import background
from eval.labels.truth import (
    EventTruth,
    PointTracks,
    RenderedClip,
    Surface,
    TransitionTruth,
    apply_affine,
    border_events,
    visible_track,
)

_POINTS = 12
_SHUTTER_STEPS = 9
_NOISE_MARGIN = 61
_MOVES = 0.02  # of the frame's height: what a thing goes at least to count as moving


def render(scene: Scene | Sequence) -> RenderedClip:
    """Frames and truth of a scene or sequence.

    Raises:
        ValueError: a side is odd, names repeat, or the scenes of a sequence do not fit together.
    """
    return _render_sequence(scene) if isinstance(scene, Sequence) else _render_scene(scene)


def _render_scene(scene: Scene) -> RenderedClip:
    names = [sprite.name for sprite in scene.sprites]
    if scene.width % 2 or scene.height % 2 or len(set(names)) != len(names):
        raise ValueError(f"scene needs even sides and unique names, got {scene.width}x{scene.height}, {names}")
    times = np.arange(scene.frames, dtype=np.float64)
    camera = _cameras(scene, times)
    stage = _Stage(scene, camera)
    frames = np.empty((scene.frames, scene.height, scene.width, 3), np.uint8)
    for index in range(scene.frames):
        frames[index] = stage.expose(index)
    stage.develop(frames)
    full = {sprite.name: stage.full_mask(sprite) for sprite in scene.sprites}
    seen = _occlude(scene, full)
    tracks, events = {}, []
    for sprite in scene.sprites:
        if not sprite.occluder:
            events += border_events(sprite.name, full[sprite.name], seen[sprite.name], stage.boxes(sprite))
            tracks[sprite.name] = stage.tracks(sprite, seen[sprite.name])
    return RenderedClip(
        fps=scene.fps,
        frames=frames,
        masks=seen,
        full_masks=full,
        tracks=tracks,
        surfaces={sprite.name: stage.surface(sprite) for sprite in scene.sprites},
        moving={sprite.name: stage.moves(sprite, seen[sprite.name]) for sprite in scene.sprites},
        spans={sprite.name: (0, scene.frames) for sprite in scene.sprites},
        events=tuple(sorted(events, key=lambda event: event.frame)),
        camera=camera,
        shots=((0, scene.frames),),
        transitions=(),
    )


def contrasts(scene: Scene, name: str) -> float:
    """Mean absolute difference in levels between a sprite and what is behind it, the median over a few frames.

    0 when it is never seen.
    """
    sprite = next(sprite for sprite in scene.sprites if sprite.name == name)
    stage = _Stage(scene, _cameras(scene, np.arange(scene.frames, dtype=np.float64)))
    levels = []
    for time in np.linspace(0, scene.frames - 1, 9).astype(int).astype(float).tolist():
        placed = stage._place(sprite, time)
        if placed is None or not (placed.rgba[..., 3] > 0.5).any():
            continue
        part = (placed.rows, placed.columns)
        full, bare = stage._compose(time), stage._compose(time, without=sprite)
        difference = np.abs(full[part].astype(np.float32) - bare[part])
        levels.append(float(difference[placed.rgba[..., 3] > 0.5].mean()))
    return float(np.median(levels)) if levels else 0.0


def _cameras(scene: Scene, times: np.ndarray, parallax: float = 1.0) -> np.ndarray:
    return scene.camera.matrices(times, scene.width, scene.height, scene.seed, parallax)


def _by_depth(scene: Scene) -> list[Sprite]:
    return sorted(scene.sprites, key=lambda sprite: sprite.depth)


def _occlude(scene: Scene, full: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Take from every mask what nearer sprites hide."""
    hidden = np.zeros((scene.frames, scene.height, scene.width), bool)
    seen: dict[str, np.ndarray] = {}
    for sprite in reversed(_by_depth(scene)):
        seen[sprite.name] = full[sprite.name] & ~hidden
        hidden |= full[sprite.name]
    return {sprite.name: seen[sprite.name] for sprite in scene.sprites}


@dataclass(frozen=True)
class _Placed:
    """A texture warped into the part of the frame that it touches."""

    rows: slice
    columns: slice
    rgba: np.ndarray


class _Stage:
    """Textures of one scene and how to put them into a frame."""

    def __init__(self, scene: Scene, camera: np.ndarray) -> None:
        self.scene = scene
        self.camera = camera
        self.density = max(1.0, float(np.sqrt(np.linalg.det(camera[:, :2, :2]).max())))
        self.times = np.arange(scene.frames, dtype=np.float64)
        self._background, self._background_to_world = self._draw_background()
        self._textures: dict[str, np.ndarray] = {}
        for sprite in scene.sprites:
            largest = max(key.scale for key in sprite.path.keys)
            rng = generator(scene.seed, "sprite", sprite.name, str(sprite.seed))
            self._textures[sprite.name] = draw_sprite(sprite, self.density * largest, rng)
        self._resting: tuple[bytes, np.ndarray] | None = None

    def _draw_background(self) -> tuple[np.ndarray, np.ndarray]:
        """A picture that covers everything the camera ever sees, and its place in the world."""
        scene = self.scene
        corners = np.array([(0, 0, 1), (scene.width, 0, 1), (0, scene.height, 1), (scene.width, scene.height, 1)])
        seen = (np.linalg.inv(self.camera) @ corners.T)[:, :2].transpose(0, 2, 1).reshape(-1, 2)
        low, high = np.floor(seen.min(axis=0)) - 8, np.ceil(seen.max(axis=0)) + 8
        width, height = (np.ceil((high - low) * self.density)).astype(int)
        rng = generator(scene.seed, "background", scene.background)
        picture = background(scene.background, int(height), int(width), scene.height / 100 * self.density, rng)
        step = 1 / self.density
        shift = low + step / 2 - 0.5
        return picture, np.array([[step, 0, shift[0]], [0, step, shift[1]], [0, 0, 1]])

    def expose(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3]: frame `index` before the sensor, blurred by the open shutter if there is one."""
        if not self.scene.shutter:
            return self._compose(float(index))
        steps = index + self.scene.shutter * np.linspace(-0.5, 0.5, _SHUTTER_STEPS)
        total = np.zeros((self.scene.height, self.scene.width, 3), np.float32)
        for time in steps.tolist():
            total += self._compose(time)
        return np.rint(total / _SHUTTER_STEPS).astype(np.uint8)

    def _compose(self, time: float, without: Sprite | None = None) -> np.ndarray:
        frame = self._backdrop(_cameras(self.scene, np.array([time]))[0]).copy()
        for sprite in self.scene.sprites:
            if sprite.shadow is not None and sprite is not without:
                self._darken(frame, sprite, sprite.shadow, time)
        for sprite in _by_depth(self.scene):
            if sprite is without:
                continue
            placed = self._place(sprite, time)
            if placed is not None:
                under = frame[placed.rows, placed.columns]
                mixed = under * (1 - placed.rgba[..., 3:]) + placed.rgba[..., :3]
                frame[placed.rows, placed.columns] = np.clip(np.rint(mixed), 0, 255)
        return frame

    def _darken(self, frame: np.ndarray, sprite: Sprite, shadow: Shadow, time: float) -> None:
        """Throw the sprite's shadow on `frame`, in place: it stands on the ground however the sprite turns or bends."""
        alpha = self._textures[sprite.name][..., 3]
        x, y, _, scale = sprite.path.at(np.array([time]))[0]
        foot = sprite.size[1] / 2
        throw = np.array([[1, -shadow.lean, shadow.lean * foot], [0, shadow.flat, (1 - shadow.flat) * foot], [0, 0, 1]])
        stand = np.array([[scale, 0, x], [0, scale, y], [0, 0, 1]])
        camera = _cameras(self.scene, np.array([time]), sprite.parallax)[0]
        matrix = camera @ stand @ throw @ texel_to_sprite(sprite, alpha)
        blur = max(0.3, shadow.softness * self.scene.height / 270)
        height, width = alpha.shape
        corners = apply_affine(matrix, np.array([(-1, -1), (width, -1), (-1, height), (width, height)], np.float64))
        # OpenCV's kernel reaches four deviations: beyond them there is no shadow.
        window = self._window(corners, margin=int(np.ceil(4 * blur)) + 1)
        if window is None:
            return
        rows, columns = window
        size = (columns.stop - columns.start, rows.stop - rows.start)
        moved = matrix[:2] - np.array([[0, 0, columns.start], [0, 0, rows.start]])
        cover = cv2.warpAffine(alpha, moved, size, flags=cv2.INTER_LINEAR)
        light = 1 - shadow.strength * cv2.GaussianBlur(cover, (0, 0), blur)
        part = frame[rows, columns]
        np.multiply(part, light[..., None], out=part, casting="unsafe")

    def _window(self, corners: np.ndarray, margin: int = 0) -> tuple[slice, slice] | None:
        """Rows and columns of the frame around points [P, 2]; None if they are all beside it."""
        x0, y0 = np.floor(corners.min(axis=0)).astype(int) - margin
        x1, y1 = np.ceil(corners.max(axis=0)).astype(int) + 1 + margin
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(self.scene.width, x1), min(self.scene.height, y1)
        return (slice(int(y0), int(y1)), slice(int(x0), int(x1))) if x0 < x1 and y0 < y1 else None

    def _backdrop(self, camera: np.ndarray) -> np.ndarray:
        key = camera.tobytes()
        if self._resting is None or self._resting[0] != key:
            matrix = (camera @ self._background_to_world)[:2]
            size = (self.scene.width, self.scene.height)
            picture = cv2.warpAffine(
                self._background, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
            )
            self._resting = (key, picture)
        return self._resting[1]

    def _place(self, sprite: Sprite, time: float) -> _Placed | None:
        """The sprite's texture in frame px at `time`; None if it does not reach into the frame."""
        texture = self._textures[sprite.name]
        camera = _cameras(self.scene, np.array([time]), sprite.parallax)[0]
        to_frame = camera @ sprite_to_world(sprite, np.array([time]))[0]
        to_sprite = texel_to_sprite(sprite, texture)
        height, width = texture.shape[:2]
        corners = apply_affine(to_sprite, np.array([(-1, -1), (width, -1), (-1, height), (width, height)], np.float64))
        corners += np.sign(corners) * (abs(sprite.sway.across), abs(sprite.sway.along))
        corners = apply_affine(to_frame, corners)
        window = self._window(corners)
        if window is None:
            return None
        rows, columns = window
        x0, y0, x1, y1 = columns.start, rows.start, columns.stop, rows.stop
        if sprite.sway.rigid:
            moved = (to_frame @ to_sprite)[:2] - np.array([[0, 0, x0], [0, 0, y0]])
            rgba = cv2.warpAffine(texture, moved, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
            return _Placed(rows, columns, rgba)
        pixels = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), axis=-1).astype(np.float64)
        resting = sprite.sway.unbend(apply_affine(np.linalg.inv(to_frame), pixels), time)
        texels = apply_affine(np.linalg.inv(to_sprite), resting).astype(np.float32)
        return _Placed(rows, columns, cv2.remap(texture, texels[..., 0], texels[..., 1], cv2.INTER_LINEAR))

    def develop(self, frames: np.ndarray) -> None:
        """Burn in the text, then add flicker and sensor noise, in place."""
        scene = self.scene
        if scene.text:
            for frame in frames:
                _burn(frame, scene.text)
        gains = 1 + scene.flicker * wobble(self.times, 8, generator(scene.seed, "flicker"))
        gains *= 1 + scene.drift * self.times / max(1, scene.frames - 1)
        gains *= np.where(self.times >= scene.step_frame, 1 + scene.step, 1.0)
        rng = generator(scene.seed, "noise")
        # One tile of noise, shifted at random for every frame: drawing fresh noise would cost most of the render.
        shape = (scene.height + _NOISE_MARGIN, scene.width + _NOISE_MARGIN, 3)
        tile = np.rint(scene.noise * rng.standard_normal(shape, dtype=np.float32)).astype(np.int16)
        for frame, gain in zip(frames, gains.tolist(), strict=True):
            if gain != 1:
                frame[:] = cv2.convertScaleAbs(frame, alpha=gain)
            if scene.noise:
                y, x = rng.integers(_NOISE_MARGIN, size=2)
                grain = tile[y : y + scene.height, x : x + scene.width]
                frame[:] = cv2.add(frame, grain, dtype=cv2.CV_8U)

    def full_mask(self, sprite: Sprite) -> np.ndarray:
        """bool [T, H, W]: pixels that the sprite covers by more than half, as if nothing were in front of it."""
        mask = np.zeros((self.scene.frames, self.scene.height, self.scene.width), bool)
        for index in range(self.scene.frames):
            placed = self._place(sprite, float(index))
            if placed is not None:
                mask[index, placed.rows, placed.columns] = placed.rgba[..., 3] > 0.5
        return mask

    def surface(self, sprite: Sprite) -> Surface:
        camera = _cameras(self.scene, self.times, sprite.parallax)
        return Surface(camera @ sprite_to_world(sprite, self.times), sprite.sway)

    def boxes(self, sprite: Sprite) -> np.ndarray:
        """float64 [T, 4], x0, y0, x1, y1 around the sprite's outline in frame px, also outside the frame."""
        moved = self.surface(sprite).to_frame(self._outline(sprite))
        return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)

    def moves(self, sprite: Sprite, seen: np.ndarray) -> bool:
        """Whether its outline goes far enough relative to the background, in the frames in which it is seen."""
        shown = np.flatnonzero(seen.any(axis=(1, 2)))
        if shown.size == 0:
            return False
        world = Surface(sprite_to_world(sprite, self.times), sprite.sway).to_frame(self._outline(sprite))[shown]
        zoom = np.sqrt(np.linalg.det(self.camera[:, :2, :2])).max()
        furthest = np.linalg.norm(np.ptp(world, axis=0), axis=1).max() * zoom
        return bool(furthest > _MOVES * self.scene.height)

    def _outline(self, sprite: Sprite) -> np.ndarray:
        """float64 [P, 2], the outline in px of the resting sprite."""
        texture = self._textures[sprite.name]
        inside = (texture[..., 3] > 0.5).astype(np.uint8)
        parts, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        return apply_affine(texel_to_sprite(sprite, texture), np.concatenate(parts)[:, 0].astype(np.float64))

    def tracks(self, sprite: Sprite, seen: np.ndarray) -> PointTracks:
        """A dozen points well inside the sprite's outline."""
        texture = self._textures[sprite.name]
        core = cv2.erode((texture[..., 3] > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2)
        rows, columns = np.nonzero(core)
        rng = generator(self.scene.seed, "points", sprite.name)
        chosen = rng.choice(len(rows), min(_POINTS, len(rows)), replace=False)
        texels = np.stack([columns[chosen], rows[chosen]], axis=1).astype(np.float64)
        resting = apply_affine(texel_to_sprite(sprite, texture), texels)
        return visible_track(self.surface(sprite).to_frame(resting), seen)


def _burn(frame: np.ndarray, text: str) -> None:
    height, width = frame.shape[:2]
    size = height / 300
    thick = max(1, round(2 * size))
    (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, size, thick)
    place = ((width - wide) // 2, round(0.88 * height))
    shadow = (place[0] + thick, place[1] + thick)
    cv2.putText(frame, text, shadow, cv2.FONT_HERSHEY_DUPLEX, size, (16, 16, 16), thick, cv2.LINE_AA)
    cv2.putText(frame, text, place, cv2.FONT_HERSHEY_DUPLEX, size, (240, 240, 240), thick, cv2.LINE_AA)


def _render_sequence(sequence: Sequence) -> RenderedClip:
    """Lay the scenes out in time, then mix where they meet. Objects are named `<scene index>.<name>`."""
    first = sequence.scenes[0]
    formats = {(scene.width, scene.height, scene.fps) for scene in sequence.scenes}
    if len(formats) > 1 or len(sequence.joins) != len(sequence.scenes) - 1:
        raise ValueError(f"a sequence needs one format and one join between scenes, got {formats}, {sequence.joins}")
    starts = [0]
    for scene, join in zip(sequence.scenes[:-1], sequence.joins, strict=True):
        overlap = join.frames if join.kind in ("dissolve", "wipe") else 0
        starts.append(starts[-1] + scene.frames - overlap)
    total = starts[-1] + sequence.scenes[-1].frames
    frames = np.zeros((total, first.height, first.width, 3), np.uint8)
    camera = np.zeros((total, 3, 3))
    masks: dict[str, np.ndarray] = {}
    full_masks: dict[str, np.ndarray] = {}
    tracks: dict[str, PointTracks] = {}
    surfaces: dict[str, Surface] = {}
    moving: dict[str, bool] = {}
    spans: dict[str, tuple[int, int]] = {}
    events: list[EventTruth] = []
    transitions: list[TransitionTruth] = []
    borders = [0]
    for index, (scene, start) in enumerate(zip(sequence.scenes, starts, strict=True)):
        clip = _render_scene(scene)
        end = start + scene.frames
        mixed = 0
        if index:
            transition, mixed_frames = _mix(sequence.joins[index - 1], frames, clip.frames, start)
            transitions.append(transition)
            mixed = len(mixed_frames)
            frames[start : start + mixed] = mixed_frames
            borders.append(start if transition.kind != "dissolve" and transition.kind != "wipe" else start + mixed // 2)
        frames[start + mixed : end] = clip.frames[mixed:]
        camera[borders[-1] : end] = clip.camera[borders[-1] - start :]
        events += [
            replace(
                event,
                object=f"{index}.{event.object}",
                frame=event.frame + start,
                first=event.first + start,
                last=event.last + start,
            )
            for event in clip.events
        ]
        for name in clip.masks:
            masks[f"{index}.{name}"] = _spread(clip.masks[name], start, total)
            full_masks[f"{index}.{name}"] = _spread(clip.full_masks[name], start, total)
            surface = clip.surfaces[name]
            surfaces[f"{index}.{name}"] = Surface(_hold(surface.matrices, start, total), surface.sway, start)
            moving[f"{index}.{name}"] = clip.moving[name]
            spans[f"{index}.{name}"] = (start, end)
        for name, track in clip.tracks.items():
            tracks[f"{index}.{name}"] = PointTracks(
                _hold(track.points, start, total), _spread(track.visibility, start, total)
            )
    return RenderedClip(
        fps=first.fps,
        frames=frames,
        masks=masks,
        full_masks=full_masks,
        tracks=tracks,
        surfaces=surfaces,
        moving=moving,
        spans=spans,
        events=tuple(sorted(events, key=lambda event: event.frame)),
        camera=camera,
        shots=tuple(zip(borders, [*borders[1:], total], strict=True)),
        transitions=tuple(transitions),
    )


def _spread(values: np.ndarray, start: int, total: int) -> np.ndarray:
    """Place a scene's bool [t, ...] into [total, ...], false elsewhere."""
    out = np.zeros((total, *values.shape[1:]), bool)
    out[start : start + len(values)] = values
    return out


def _hold(values: np.ndarray, start: int, total: int) -> np.ndarray:
    """Place a scene's [t, ...] into [total, ...], first and last value held elsewhere."""
    return values[np.clip(np.arange(total) - start, 0, len(values) - 1)]


def _mix(join: Join, frames: np.ndarray, new: np.ndarray, start: int) -> tuple[TransitionTruth, np.ndarray]:
    """Truth of a join, and the new scene's first frames as they are shown. A fade also darkens `frames` in place."""
    count = join.frames
    if join.kind == "cut":
        return TransitionTruth("cut", start, start), new[:0]
    if join.kind == "fade":
        out = count // 2
        for step in range(out):
            dark = frames[start - out + step]
            dark[:] = cv2.convertScaleAbs(dark, alpha=1 - (step + 1) / (out + 1))
        risen = [cv2.convertScaleAbs(new[step], alpha=step / (count - out)) for step in range(count - out)]
        return TransitionTruth("fade", start - out, start - out + count - 1), np.stack(risen)
    shown = new[:count].copy()
    for step in range(count):
        share = (step + 1) / (count + 1)
        old = frames[start + step]
        if join.kind == "dissolve":
            shown[step] = cv2.addWeighted(old, 1 - share, new[step], share, 0)
        else:
            border = round(share * old.shape[1])
            shown[step, :, border:] = old[:, border:]
    return TransitionTruth(join.kind, start, start + count - 1), shown
