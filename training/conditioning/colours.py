"""One colour for each object, the same in training, inference and previews."""

# The first nine are the recipe's, in its order. The release goes on with unseeded random colours; these go on evenly
# around the colour wheel at two lightnesses, so that the tenth object has the same colour in every run.
COLOURS: tuple[tuple[int, int, int], ...] = (
    (255, 0, 0),
    (255, 255, 0),
    (0, 255, 0),
    (0, 255, 255),
    (255, 0, 255),
    (0, 0, 255),
    (128, 128, 128),
    (64, 224, 208),
    (233, 150, 122),
    (128, 0, 0),
    (0, 128, 0),
    (0, 0, 128),
    (128, 128, 0),
    (128, 0, 128),
    (0, 128, 128),
    (255, 128, 0),
    (128, 255, 0),
    (0, 255, 128),
    (0, 128, 255),
    (128, 0, 255),
    (255, 0, 128),
    (64, 64, 64),
    (192, 128, 64),
    (64, 128, 192),
)


def colour(index: int) -> tuple[int, int, int]:
    """RGB in 0..255 of object `index`, counted from 0; colours repeat after `len(COLOURS)` objects."""
    return COLOURS[index % len(COLOURS)]
