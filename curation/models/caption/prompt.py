"""What captioning models are asked and shown, and what counts as an answer (recipe, step 6)."""

from pydantic import Field

from curation.contract.errors import ModelError
from curation.models.caption.protocol import PictureSampling
from curation.models.model_config import DeviceConfig

PROMPT = (
    "Write one paragraph of 20 to 40 words about this clip: first its style, then what happens in it, then details. "
    "Prefer what changes over time: who moves, from where, to where. Do not mention a video, frames or a "
    "camera person, and do not guess at what cannot be seen. Answer with the paragraph alone."
)
_LONGEST = 200  # words; forty were asked for
_FEWEST = 3


class PromptConfig(DeviceConfig):
    """The recipe shows up to 160 frames, one in 16, at 256x384, and takes 128 tokens at most."""

    prompt: str = Field(default=PROMPT, min_length=1, description="what the model is asked")
    every: int = Field(default=16, ge=1, description="one frame in so many is shown")
    most_frames: int = Field(default=160, ge=1, description="frames of the clip from which pictures are taken")
    width: int = Field(default=384, ge=28, description="of the pictures, px")
    height: int = Field(default=256, ge=28, description="of the pictures, px")
    max_new_tokens: int = Field(default=128, ge=1, description="longest answer, tokens")

    @property
    def sampling(self) -> PictureSampling:
        return PictureSampling(self.every, self.most_frames, self.width, self.height)


def plain_caption(backend: str, answer: str) -> str:
    """An answer as one line.

    Raises:
        ModelError: it is no sentence: empty, a rambling of hundreds of words, or hardly any letters in it.
    """
    text = " ".join(answer.split()).strip('"')
    words = len(text.split())
    letters = sum(character.isalpha() or character.isspace() for character in text)
    if not _FEWEST <= words <= _LONGEST or letters < 0.5 * len(text):
        raise ModelError(f"{backend}: its answer is no caption: {text[:80]!r}, {words} words")
    return text
