"""Pictures for the worked examples, painted by code: flat landscapes, and things that come into them or leave them."""

from collections.abc import Sequence

import cv2
import numpy as np

Colour = tuple[int, int, int]

WIDTH, HEIGHT = 768, 512
_FINER = 2  # painted this much larger and reduced: smooth edges


class _Painting:
    """uint8 RGB pixels and what of them is painted, in units of the final picture."""

    def __init__(self, width: int, height: int, ground: np.ndarray | None = None) -> None:
        self.pixels = np.zeros((height * _FINER, width * _FINER, 3), np.uint8) if ground is None else ground
        self.painted = np.zeros(self.pixels.shape[:2], np.uint8)

    def polygon(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        corners = [np.round(np.array(points) * _FINER).astype(np.int32)]
        cv2.fillPoly(self.pixels, corners, colour, cv2.LINE_AA)
        cv2.fillPoly(self.painted, corners, (255,), cv2.LINE_AA)

    def ellipse(self, x: float, y: float, across: float, down: float, colour: Colour, turn: float = 0) -> None:
        where = (round(x * _FINER), round(y * _FINER)), (round(across * _FINER), round(down * _FINER))
        cv2.ellipse(self.pixels, *where, turn, 0, 360, colour, cv2.FILLED, cv2.LINE_AA)
        cv2.ellipse(self.painted, *where, turn, 0, 360, (255,), cv2.FILLED, cv2.LINE_AA)

    def line(self, start: tuple[float, float], end: tuple[float, float], colour: Colour, width: float) -> None:
        ends = [(round(x * _FINER), round(y * _FINER)) for x, y in (start, end)]
        cv2.line(self.pixels, ends[0], ends[1], colour, round(width * _FINER), cv2.LINE_AA)
        cv2.line(self.painted, ends[0], ends[1], (255,), round(width * _FINER), cv2.LINE_AA)

    def picture(self) -> np.ndarray:
        """uint8 [H, W, 3]."""
        return _reduce(self.pixels)

    def cut_out(self) -> np.ndarray:
        """uint8 [H, W, 4], transparent where nothing is painted."""
        return np.dstack([_reduce(self.pixels), _reduce(self.painted)])


def beach() -> np.ndarray:
    """Sand, sea and sun."""
    scene = _landscape((126, 196, 240), (236, 244, 248), horizon=0.46)
    scene.ellipse(610, 96, 42, 42, (255, 240, 190))
    _band(scene, 236, 318, (48, 140, 178), (112, 196, 206))
    for y, x, length in ((262, 90, 130), (276, 420, 180), (296, 210, 150), (250, 600, 90)):
        scene.line((x, y), (x + length, y), (196, 230, 234), 3)
    _wavy(scene, 318, 7, (246, 250, 246))
    _wavy(scene, 330, 7, (236, 208, 158))
    _band(scene, 340, HEIGHT, (236, 208, 158), (216, 178, 122))
    scene.ellipse(600, 432, 70, 9, (190, 154, 102))
    scene.line((593, 196), (593, 430), (120, 84, 56), 6)
    for across, colour in ((112, (228, 84, 72)), (70, (250, 236, 220)), (26, (228, 84, 72))):
        turns = np.linspace(np.pi, 2 * np.pi, 40)
        scene.polygon([(593 + across * np.cos(turn), 270 + 72 * np.sin(turn)) for turn in turns], colour)
    return scene.picture()


def valley() -> np.ndarray:
    """Hills under a balloon."""
    scene = _landscape((96, 150, 220), (250, 222, 190), horizon=0.75)
    _hills(scene, 300, 60, 190, (120, 150, 168))
    _hills(scene, 350, 46, 250, (92, 138, 118))
    _hills(scene, 410, 36, 330, (74, 122, 82))
    _band(scene, 458, HEIGHT, (92, 142, 76), (64, 110, 60))
    for x in (70, 112, 640, 690, 724):
        _tree(scene, x, 470, 26)
    _balloon(scene, 384, 190)
    return scene.picture()


def lake() -> np.ndarray:
    """Still water before mountains."""
    scene = _landscape((150, 190, 226), (246, 236, 226), horizon=0.55)
    scene.polygon([(-20, 290), (150, 110), (300, 290)], (128, 138, 168))
    scene.polygon([(108, 154), (150, 110), (185, 150), (150, 164)], (244, 246, 250))
    scene.polygon([(180, 290), (420, 70), (680, 290)], (108, 120, 154))
    scene.polygon([(352, 132), (420, 70), (494, 133), (440, 150), (400, 138)], (248, 250, 252))
    scene.polygon([(520, 290), (690, 150), (800, 290)], (134, 146, 176))
    _hills(scene, 272, 8, 150, (70, 108, 84))
    _band(scene, 292, HEIGHT, (122, 168, 190), (44, 92, 128))
    for y, x, length in ((330, 60, 120), (352, 480, 200), (388, 260, 160), (430, 520, 120), (470, 150, 210)):
        scene.line((x, y), (x + length, y), (160, 198, 212), 3)
    for x, tall in ((40, 120), (58, 160), (74, 100), (90, 140), (108, 90)):
        scene.line((x, HEIGHT), (x + 8, HEIGHT - tall), (66, 104, 62), 5)
        scene.ellipse(x + 8, HEIGHT - tall, 5, 18, (112, 78, 52))
    return scene.picture()


def park() -> np.ndarray:
    """A meadow with a tree and a bench, and a cloud."""
    scene = _landscape((108, 178, 236), (226, 240, 248), horizon=0.65)
    for x, y, size in ((200, 110, 44), (250, 96, 54), (306, 114, 42)):
        scene.ellipse(x, y, size * 1.25, size * 0.7, (252, 252, 254))
    _hills(scene, 330, 18, 300, (120, 172, 104))
    _band(scene, 352, HEIGHT, (128, 184, 92), (84, 142, 66))
    _tree(scene, 620, 400, 110)
    for x in (150, 286):
        scene.polygon([(x, 410), (x + 10, 410), (x + 10, 452), (x, 452)], (88, 66, 54))
    for y in (372, 390, 410):
        scene.polygon([(134, y), (312, y), (312, y + 11), (134, y + 11)], (170, 112, 70))
    return scene.picture()


def ball() -> np.ndarray:
    """A beach ball, cut out."""
    thing = _Painting(240, 240)
    thing.ellipse(120, 120, 108, 108, (246, 246, 240))
    for turn, colour in ((0, (226, 62, 62)), (120, (250, 200, 60)), (240, (52, 128, 210))):
        corners = cv2.ellipse2Poly((120, 120), (108, 108), 0, turn, turn + 60, 4)
        thing.polygon([(120, 120), *map(tuple, np.asarray(corners).tolist())], colour)
    thing.ellipse(120, 120, 16, 16, (246, 246, 240))
    return thing.cut_out()


def boat() -> np.ndarray:
    """A sailing boat before a plain ground."""
    thing = _Painting(360, 300)
    thing.pixels[:] = (214, 222, 226)
    thing.polygon([(176, 30), (184, 30), (184, 220), (176, 220)], (110, 78, 54))
    thing.polygon([(186, 36), (186, 216), (306, 216)], (246, 240, 228))
    thing.polygon([(174, 60), (174, 216), (82, 216)], (222, 78, 62))
    thing.polygon([(52, 216), (322, 216), (282, 266), (96, 266)], (44, 70, 110))
    thing.polygon([(52, 216), (322, 216), (316, 226), (60, 226)], (236, 236, 232))
    return thing.picture()


def kite() -> np.ndarray:
    """A kite with its tail, cut out."""
    thing = _Painting(220, 320)
    for start, end in (((110, 196), (84, 240)), ((84, 240), (122, 270)), ((122, 270), (96, 308))):
        thing.line(start, end, (90, 90, 110), 4)
    for x, y in ((84, 240), (122, 270), (96, 306)):
        thing.polygon([(x - 18, y - 9), (x, y), (x - 18, y + 9)], (250, 196, 60))
        thing.polygon([(x + 18, y - 9), (x, y), (x + 18, y + 9)], (236, 92, 120))
    thing.polygon([(110, 12), (198, 92), (110, 200)], (236, 92, 120))
    thing.polygon([(110, 12), (22, 92), (110, 200)], (96, 92, 208))
    thing.line((110, 12), (110, 200), (250, 250, 250), 3)
    thing.line((22, 92), (198, 92), (250, 250, 250), 3)
    return thing.cut_out()


def _landscape(top: Colour, bottom: Colour, horizon: float) -> _Painting:
    """A sky that fills the picture."""
    scene = _Painting(WIDTH, HEIGHT)
    _band(scene, 0, HEIGHT, bottom, bottom)
    _band(scene, 0, round(HEIGHT * horizon), top, bottom)
    return scene


def _band(scene: _Painting, top: int, bottom: int, above: Colour, below: Colour) -> None:
    share = np.linspace(0, 1, (bottom - top) * _FINER)[:, None, None]
    scene.pixels[top * _FINER : bottom * _FINER] = np.round(np.array(above) * (1 - share) + np.array(below) * share)


def _wavy(scene: _Painting, y: float, high: float, colour: Colour) -> None:
    xs = np.linspace(-10, WIDTH + 10, 60)
    edge = [(float(x), float(y + high * np.sin(x / 46))) for x in xs]
    scene.polygon([*edge, (WIDTH + 10, y + 40), (-10, y + 40)], colour)


def _hills(scene: _Painting, y: float, high: float, long: float, colour: Colour) -> None:
    xs = np.linspace(-10, WIDTH + 10, 80)
    edge = [(float(x), float(y - high * (np.sin(x / long * 3.1 + y) + 0.4 * np.sin(x / long * 7 + y)))) for x in xs]
    scene.polygon([*edge, (WIDTH + 10, HEIGHT + 10), (-10, HEIGHT + 10)], colour)


def _tree(scene: _Painting, x: float, foot: float, size: float) -> None:
    scene.polygon(
        [
            (x - size * 0.12, foot - size),
            (x + size * 0.12, foot - size),
            (x + size * 0.16, foot),
            (x - size * 0.16, foot),
        ],
        (98, 72, 52),
    )
    for across, up, share in ((-0.45, 1.2, 0.6), (0.45, 1.2, 0.6), (0, 1.6, 0.75)):
        scene.ellipse(x + size * across, foot - size * up, size * share, size * share * 0.9, (58, 118, 66))


def _balloon(scene: _Painting, x: float, y: float) -> None:
    for side in (-30, 30):
        scene.line((x + side, y + 70), (x + side * 0.5, y + 122), (90, 70, 60), 2)
    scene.polygon([(x - 58, y + 40), (x + 58, y + 40), (x + 26, y + 88), (x - 26, y + 88)], (204, 64, 60))
    scene.ellipse(x, y, 72, 76, (228, 84, 72))
    scene.ellipse(x, y, 44, 76, (250, 214, 120))
    scene.ellipse(x, y, 16, 76, (228, 84, 72))
    scene.polygon([(x - 18, y + 118), (x + 18, y + 118), (x + 14, y + 142), (x - 14, y + 142)], (138, 96, 58))


def _reduce(pixels: np.ndarray) -> np.ndarray:
    return cv2.resize(pixels, None, fx=1 / _FINER, fy=1 / _FINER, interpolation=cv2.INTER_AREA)
