"""Point tracks by pyramidal Lucas-Kanade, checked there and back, held together by the objects that points sit on.

One sweep runs from the first frame to the last, one the other way; each takes a point from its own frame on. A point
that is lost (it does not return, looks different, leaves its object's mask or the frame) goes on with the motion of
its object's other points, and is taken up again where it looks as it did.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.mask_tube import Masks
from curation.contract.spans import scale_points
from curation.models.tracking.body_motion import BodyMotion, body_motion
from curation.models.tracking.mask_anchor import MaskAnchors
from curation.models.tracking.patches import cut_patches, find_patch, likeness, texture, turn_patches
from curation.video.media import ClipFrames

_LK_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 15, 0.02)

_TURNING = 0.008
"""Change of an object's similarity a frame (half a degree, 0.8 %) from which windows are turned along."""
_FAST_PX = 6.0
"""Step of an object's mask from which its points are looked for where the mask went."""
_NEAR_LEVELS = 2
"""Pyramid levels for points of which it is known within a few px where they went."""
_CHECK_EVERY = 4
"""Frames between checks for points that slid away slowly."""
_GOES_ON = 0.9
"""Share of an object's turn and growth that is expected again in the next frame."""
_FEW = 3
"""Points of an object that must agree before the others are judged and placed by them."""


class LucasKanadeConfig(Config):
    """Distances are px at working size (long side 512)."""

    window: int = Field(default=11, ge=5, description="side of the window that is matched, px; odd")
    levels: int = Field(default=4, ge=1, description="pyramid levels: a step of about 8 * 2^(levels-1) px is followed")
    back_px: float = Field(default=1.0, gt=0, description="distance to the origin after tracking a step back")
    patch: int = Field(default=15, ge=5, description="side of the patch that a point is recognised by, px; odd")
    least_likeness: float = Field(default=0.5, description="a point that looks less like itself is lost")
    find_likeness: float = Field(default=0.7, description="a lost point that looks as much like itself is found")
    learn_likeness: float = Field(default=0.8, description="its look is learned only from such a good view")
    learn_rate: float = Field(default=0.1, ge=0, le=1, description="share of a new view in what a point looks like")
    body_px: float = Field(
        default=4.0, gt=0, description="a point whose step differs more from its object's motion has slipped off it"
    )
    plain: float = Field(
        default=4000.0, gt=0, description="summed squared gradient at which flow and object motion count the same"
    )
    search_px: int = Field(default=10, ge=1, description="radius in which a lost point is looked for")
    mask_px: int = Field(default=3, ge=0, description="a point this far off its object's mask is still on it")


class LucasKanadeTracker:
    """PointTracker that needs no weights."""

    name: str = "lucas-kanade-1"

    def __init__(self, config: LucasKanadeConfig | None = None) -> None:
        self.config = config or LucasKanadeConfig()

    def track(
        self, clip: ClipFrames, queries: np.ndarray, masks: list[Masks | None] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `PointTracker.track`. Queries that share a mask array belong to one object."""
        queries = np.asarray(queries, np.float64).reshape(-1, 3)
        scale_x, scale_y = clip.scale
        places = scale_points(queries[:, 1:], 1 / scale_x, 1 / scale_y)
        frames = queries[:, 0].astype(np.int64)
        bodies = _Bodies.of(masks if masks is not None else [None] * len(queries))
        points = np.zeros((clip.length, len(queries), 2), np.float32)
        visible = np.zeros((clip.length, len(queries)), bool)
        points[frames, np.arange(len(queries))] = places
        visible[frames, np.arange(len(queries))] = _inside(places, clip.width, clip.height)
        if len(queries):
            for order in (range(clip.length), range(clip.length - 1, -1, -1)):
                _Sweep(clip.gray, frames, bodies, points, visible, self.config).run(order)
        return scale_points(points, scale_x, scale_y), visible


@dataclass(frozen=True)
class _Bodies:
    """Which object each query belongs to, int64 [N], and each object's masks; a query without mask is alone."""

    index: np.ndarray
    masks: list[Masks | None]

    @staticmethod
    def of(masks: Sequence[Masks | None]) -> "_Bodies":
        known: dict[int, int] = {}
        kept: list[Masks | None] = []
        index = []
        for mask in masks:
            body = known.get(id(mask)) if mask is not None else None
            if body is None:
                body = len(kept)
                kept.append(mask)
                if mask is not None:
                    known[id(mask)] = body
            index.append(body)
        return _Bodies(np.array(index, np.int64), kept)


class _Sweep:
    """One way through the clip; fills in `points` and `visible` from each query's frame on."""

    def __init__(
        self,
        gray: np.ndarray,
        frames: np.ndarray,
        bodies: _Bodies,
        points: np.ndarray,
        visible: np.ndarray,
        config: LucasKanadeConfig,
    ) -> None:
        self.gray = gray
        self.frames = frames
        self.body = bodies.index
        self.masks = bodies.masks
        self.points = points
        self.visible = visible
        self.config = config
        count, side = len(frames), config.patch
        self.look = np.zeros((count, side, side), np.float32)
        self.pose = np.tile(np.eye(2), (count, 1, 1))
        """How each point's surroundings have turned and grown since its own frame; `look` is kept upright."""
        self.seen_last = frames.copy()
        self.reference = frames.copy()
        """Last frame in which each point was seen and is believed to have been right."""
        self.velocity = np.zeros((len(bodies.masks), 2))
        self.turn = np.tile(np.eye(2), (len(bodies.masks), 1, 1))
        self.enough = np.minimum(_FEW, np.bincount(bodies.index, minlength=len(bodies.masks)))
        self.anchors = MaskAnchors(bodies.masks, count)

    def run(self, order: range) -> None:
        begun = np.zeros(len(self.frames), bool)
        for step, now in enumerate(order):
            if step:
                self._advance(order[step - 1], now, np.flatnonzero(begun))
            fresh = np.flatnonzero(self.frames == now)
            begun[fresh] = True
            self.look[fresh] = cut_patches(self.gray[now], self.points[now, fresh], self.config.patch)
            seen = np.flatnonzero(begun & self.visible[now])
            self.anchors.remember(now, seen, self.body[seen], self.points[now, seen])

    def _advance(self, last: int, now: int, active: np.ndarray) -> None:
        """Move the points `active` from frame `last` to its neighbour `now`."""
        if active.size == 0:
            return
        height, width = self.gray.shape[1:]
        seen = active[self.visible[last, active]]
        flowed, returned = self._flow(last, now, seen)
        pose = self.pose[seen]
        trust = _trust(pose @ texture(self.look[seen]) @ pose.swapaxes(1, 2), self.config.plain)
        motion = self._motion(last, seen, flowed, returned, trust)
        turning = np.flatnonzero(np.abs(motion.linear - np.eye(2)).max(axis=(1, 2))[self.body[seen]] > _TURNING)
        if turning.size:
            self._follow_turn(last, now, seen, turning, motion, flowed, returned)
            motion = self._motion(last, seen, flowed, returned, trust)
        self.pose[active] = motion.linear[self.body[active]] @ self.pose[active]
        carried = self._carry(motion, last, now, active)
        self.points[now, active] = carried

        # Those that were seen: keep where the flow led if nothing speaks against it.
        expected = carried[np.searchsorted(active, seen)]
        alone = motion.support[self.body[seen]] < _FEW
        firm = returned & (alone | (np.linalg.norm(flowed - expected, axis=1) <= self.config.body_px))
        trust = np.where(alone[:, None, None], np.eye(2), np.where(firm[:, None, None], trust, 0.0))
        flowed = _steadied(flowed, expected, trust).astype(np.float32)
        view = cut_patches(self.gray[now], flowed, self.config.patch, self.pose[seen])
        alike = likeness(view, self.look[seen])
        # A plain patch gives no flow, yet its object takes it along: it is seen as long as it looks right there.
        kept = (firm & (alike >= self.config.least_likeness)) | (~alone & (alike >= self.config.find_likeness))
        kept &= _inside(flowed, width, height)
        kept[kept] = self._on_body(now, seen[kept], flowed[kept], self.config.mask_px)
        self.points[now, seen[kept]] = flowed[kept]
        self.visible[now, seen[kept]] = True
        self._learn(seen[kept], view[kept], alike[kept])
        if now % _CHECK_EVERY == 0:
            self._drop_strays(now, seen[kept])

        # Those that were not, or are no longer: place them by those that are, and look for them there.
        lost = active[~self.visible[now, active]]
        self._place_by_mates(now, lost, active[self.visible[now, active]])
        lost = lost[~np.isin(lost, seen) & _inside(self.points[now, lost], width, height)]
        self._find(now, lost[self._on_body(now, lost, self.points[now, lost], self.config.search_px)])
        still = active[self.visible[now, active]]
        self.seen_last[still] = now
        self.reference[still] = now

    def _flow(self, last: int, now: int, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the points `seen` [N] went by flow, [N, 2], and whether that holds back too, bool [N].

        Those of fast objects begin where the mask went: at the coarse levels that reach so far, a small object drowns
        in what is behind it.
        """
        start, body = self.points[last, seen], self.body[seen]
        flowed, returned = self._there_and_back(self.gray[last], self.gray[now], start, self.config.levels)
        step = np.stack([self.anchors.step(one, last, now) for one in range(len(self.masks))])
        fast = np.flatnonzero(np.hypot(*step.T)[body] > _FAST_PX)
        if fast.size:
            way = step[body[fast]].astype(np.float32)
            there, ok = self._there_and_back(self.gray[last], self.gray[now], start[fast], _NEAR_LEVELS, way)
            flowed[fast[ok]] = there[ok]
            returned[fast[ok]] = True
        return flowed, returned

    def _there_and_back(
        self, before: np.ndarray, after: np.ndarray, start: np.ndarray, levels: int, way: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where points [N, 2] went between two pictures, and whether they come back to where they were, bool [N].

        Args:
            way: [N, 2], about how far they went.
        """
        if len(start) == 0:
            return np.empty((0, 2), np.float32), np.empty(0, bool)
        way = np.zeros_like(start) if way is None else way
        size = (self.config.window, self.config.window)
        how = {"winSize": size, "maxLevel": levels - 1, "criteria": _LK_STOP, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
        there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, start, start + way, **how)
        back, found_back, _ = cv2.calcOpticalFlowPyrLK(after, before, there, there - way, **how)
        near = np.linalg.norm(back - start, axis=1) <= self.config.back_px
        return there, near & (found[:, 0] == 1) & (found_back[:, 0] == 1)

    def _motion(
        self, last: int, seen: np.ndarray, flowed: np.ndarray, returned: np.ndarray, trust: np.ndarray
    ) -> BodyMotion:
        index = seen[returned]
        return body_motion(
            self.points[last, index],
            flowed[returned],
            trust[returned],
            self.body[index],
            len(self.masks),
            self.config.body_px,
            self.turn,
        )

    def _follow_turn(
        self,
        last: int,
        now: int,
        seen: np.ndarray,
        turning: np.ndarray,
        motion: BodyMotion,
        flowed: np.ndarray,
        returned: np.ndarray,
    ) -> None:
        """Correct, in place, the flow of points on objects that turn or grow: windows are compared upright.

        Plain flow holds a window fixed, sees less than the whole turn, and the loss adds up from frame to frame.
        """
        start, body = self.points[last, seen[turning]], self.body[seen[turning]]
        guess, linear = motion.apply(start, body), motion.linear[body]
        side = 2 * self.config.window + 7
        before = cut_patches(self.gray[last], start, side).astype(np.uint8).reshape(-1, side)
        after = cut_patches(self.gray[now], guess, side, linear).astype(np.uint8).reshape(-1, side)
        middle = np.stack([np.full(len(start), side // 2), np.arange(len(start)) * side + side // 2], axis=1)
        middle = middle.astype(np.float32)
        there, ok = self._there_and_back(before, after, middle, levels=1)
        offset = there - middle
        ok &= np.abs(offset).max(axis=1) <= self.config.window // 2
        flowed[turning[ok]] = guess[ok] + np.einsum("nij,nj->ni", linear[ok], offset[ok])
        returned[turning] = ok

    def _carry(self, motion: BodyMotion, last: int, now: int, active: np.ndarray) -> np.ndarray:
        """Where the objects' motion takes the points, float64 [N, 2]: what is known of those that are not seen."""
        height, width = self.gray.shape[1:]
        body = self.body[active]
        held = motion.support >= self.enough
        step = motion.shift
        self.turn = np.where(held[:, None, None], np.eye(2) + _GOES_ON * (motion.linear - np.eye(2)), np.eye(2))
        self.velocity = np.where(held[:, None], 0.7 * self.velocity + 0.3 * step, self.velocity)
        before = self.points[last, active].astype(np.float64)
        carried = np.where(held[body, None], motion.apply(before, body), before + self.velocity[body])
        adrift = np.flatnonzero(~held[body])
        carried[adrift] = self.anchors.place(now, active[adrift], body[adrift], carried[adrift])
        return np.clip(carried, (-width, -height), (2 * width, 2 * height))

    def _drop_strays(self, now: int, seen: np.ndarray) -> None:
        """Give up points that slid away little by little: they no longer fit how their object as a whole has moved.

        Judged against the points of the same object and query frame; a limber object has a wider tolerance.
        """
        pairs = np.stack([self.body[seen], self.frames[seen]], axis=1)
        teams, team = np.unique(pairs, axis=0, return_inverse=True)
        team = team.ravel()
        before, after = self.points[self.frames[seen], seen], self.points[now, seen]
        trust = np.tile(np.eye(2), (len(seen), 1, 1))
        motion = body_motion(before, after, trust, team, len(teams), 2 * self.config.body_px)
        residual = np.linalg.norm(motion.apply(before, team) - after, axis=1)
        for index in range(len(teams)):
            mine = team == index
            if mine.sum() > _FEW:
                limit = max(2 * self.config.body_px, 4 * float(np.median(residual[mine])))
                strays = seen[mine & (residual > limit)]
                self.visible[now, strays] = False
                self.reference[strays] = self.frames[strays]

    def _place_by_mates(self, now: int, lost: np.ndarray, seen: np.ndarray) -> None:
        """Place lost points where their object's seen points have gone since the frame in which each was last right."""
        pairs = np.stack([self.body[lost], self.reference[lost]], axis=1)
        moves, which = np.unique(pairs, axis=0, return_inverse=True)
        mates, of = [], []
        for move, (body, then) in enumerate(moves):
            both = seen[(self.body[seen] == body) & self.visible[then, seen]]
            if both.size >= _FEW:
                mates.append(both)
                of.append(np.full(both.size, move))
        if not mates:
            return
        mate, move = np.concatenate(mates), np.concatenate(of)
        before, after = self.points[moves[move, 1], mate], self.points[now, mate]
        trust = np.tile(np.eye(2), (len(mate), 1, 1))
        motion = body_motion(before, after, trust, move, len(moves), 2 * self.config.body_px)
        which = which.ravel()
        sure = motion.support[which] >= _FEW
        index = lost[sure]
        self.points[now, index] = motion.apply(self.points[self.reference[index], index], which[sure])

    def _on_body(self, now: int, index: np.ndarray, places: np.ndarray, reach: int) -> np.ndarray:
        """Whether places [N, 2] of points `index` [N] are within `reach` px of their objects' masks, bool [N]."""
        height, width = self.gray.shape[1:]
        on = np.ones(len(index), bool)
        around = np.array([(x, y) for y in (-reach, 0, reach) for x in (-reach, 0, reach)])
        cells = np.rint(places[:, None, :] + around).astype(np.int64)
        xs, ys = cells[..., 0].clip(0, width - 1), cells[..., 1].clip(0, height - 1)
        for body in np.unique(self.body[index]):
            mask = self.masks[body]
            if mask is not None:
                mine = self.body[index] == body
                on[mine] = mask[now][ys[mine], xs[mine]].any(axis=1)
        return on

    def _learn(self, index: np.ndarray, view: np.ndarray, alike: np.ndarray) -> None:
        good = alike >= self.config.learn_likeness
        rate = self.config.learn_rate
        self.look[index[good]] = (1 - rate) * self.look[index[good]] + rate * view[good]

    def _find(self, now: int, lost: np.ndarray) -> None:
        """Take up points again that look like themselves near where they should be."""
        if lost.size == 0:
            return
        found = [
            find_patch(self.gray[now], look, place, self.config.search_px)
            for look, place in zip(turn_patches(self.look[lost], self.pose[lost]), self.points[now, lost], strict=True)
        ]
        ok = np.array([place is not None for place in found], bool)
        if not ok.any():
            return
        index = lost[ok]
        places = np.stack([place for place in found if place is not None])
        alike = likeness(cut_patches(self.gray[now], places, self.config.patch, self.pose[index]), self.look[index])
        height, width = self.gray.shape[1:]
        taken = (alike >= self.config.find_likeness) & _inside(places, width, height)
        taken[taken] = self._on_body(now, index[taken], places[taken], self.config.mask_px)
        for point, place in zip(index[taken], places[taken], strict=True):
            self._join_gap(point, now, place)
        self.visible[now, index[taken]] = True

    def _join_gap(self, point: int, now: int, place: np.ndarray) -> None:
        """Spread the error of a gap's extrapolation over the gap, so that the track has no jump at its end."""
        last = int(self.seen_last[point])
        way = 1 if now > last else -1
        gap = np.arange(last + way, now + way, way)
        error = place - self.points[now, point]
        shares = np.arange(1, len(gap) + 1, dtype=np.float32) / len(gap)
        self.points[gap, point] += shares[:, None] * error


def _trust(tensors: np.ndarray, plain: float) -> np.ndarray:
    """Structure tensors [N, 2, 2], eigenvalues v, to how far flow is trusted along each direction: v / (v + plain)."""
    return np.linalg.solve(tensors + plain * np.eye(2), tensors)


def _steadied(flowed: np.ndarray, expected: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Between where the flow led and where the object goes, [N, 2]: along an edge or on a plain patch, flow guesses."""
    return expected + np.einsum("nij,nj->ni", trust, flowed - expected)


def _inside(places: np.ndarray, width: int, height: int) -> np.ndarray:
    """Whether places [N, 2] lie on a width x height picture, bool [N]."""
    x, y = places[:, 0], places[:, 1]
    return (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
