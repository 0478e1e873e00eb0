"""Pictures that people hand in: opened with care, and written so that nothing is lost."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from curation.contract.errors import UsageError

MAX_PIXELS = 64_000_000  # 64 megapixels: any camera's picture, but not a decompression bomb


def read_picture(path: Path) -> np.ndarray:
    """A picture as uint8 RGB [H, W, 3], or RGBA [H, W, 4] when it has transparency; turned as its EXIF tag says.

    Raises:
        UsageError: the file is missing, no picture, damaged, or larger than MAX_PIXELS.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; we refuse those that are too large by their header, before any decoding.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise UsageError(
                        f"{path}: {picture.width}x{picture.height} px are more than {MAX_PIXELS // 10**6} megapixels; "
                        "make it smaller first"
                    )
                upright = ImageOps.exif_transpose(picture)
                return np.asarray(upright.convert("RGBA" if upright.has_transparency_data else "RGB"))
    except Image.DecompressionBombError:
        raise UsageError(f"{path}: far more than {MAX_PIXELS // 10**6} megapixels; make it smaller first") from None
    except UnidentifiedImageError:
        raise UsageError(f"{path}: not a picture; PNG, JPEG, WebP and most other formats will do") from None
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's ways to say that a file is damaged
        reason = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
        raise UsageError(f"{path}: cannot read this picture: {reason}") from None


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 RGB or RGBA [H, W, 3 or 4] as PNG."""
    Image.fromarray(pixels).save(path, format="PNG")
