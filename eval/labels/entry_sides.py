"""On which side objects wait: the sides of many region boxes of centred objects, drawn by curation's own code."""

from collections import Counter

import numpy as np

from curation.contract.ids import generator
from curation.stages.box_sampler import SIDES
from curation.stages.region_boxes import RegionBoxesConfig, boxes_beside
from eval.labels.cases import Case

BOXES = 1000
_CANVASES = ((1280, 720), (1920, 1080), (720, 1280), (640, 480))


def entry_side_cases(config: RegionBoxesConfig, seed: int) -> list[Case]:
    """One case for each side: its share in at least `BOXES` boxes; of them only the smallest share is judged.

    Objects lie around the middle of the frame, 5 to 40 % of its sides large.
    """
    rng = generator(seed, "entry_sides")
    sides: Counter[str] = Counter()
    while sides.total() < BOXES:
        canvas = _CANVASES[rng.integers(len(_CANVASES))]
        middle = np.array(canvas) * rng.uniform(0.45, 0.55, 2)
        half = np.array(canvas) * rng.uniform(0.05, 0.4, 2) / 2
        sides.update(boxes_beside(np.concatenate([middle - half, middle + half]), canvas, config, rng)[1])
    shares = {side: sides[side] / sides.total() for side in SIDES}
    rarest = min(shares, key=shares.__getitem__)
    note = ", ".join(f"{side} {share:.1%}" for side, share in shares.items())
    return [Case("entry_side", "drawn boxes", shares[rarest], note=f"{sides.total()} boxes: {note}")]
