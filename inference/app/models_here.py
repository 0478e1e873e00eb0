"""Which models can run on this machine, and what the page says where that is only a tiny one."""

from dataclasses import dataclass

import torch

from inference.loading import weights_are_here
from inference.memory import LoadConfig
from inference.models import MODELS, model_spec


@dataclass(frozen=True)
class ModelsHere:
    """The page's choice of models.

    Attributes:
        default: chosen when a page opens.
        runnable: those that generate here; a request can be drawn and kept for the others too.
        warning: what the page says at its top; "" when a published model runs.
        config: how published models are loaded.
    """

    default: str
    runnable: tuple[str, ...]
    warning: str
    config: LoadConfig

    def config_of(self, model: str) -> LoadConfig:
        """Options of the command line are for published weights; tiny ones need none."""
        return self.config if model_spec(model).base else LoadConfig()


def models_here(asked: str | None, config: LoadConfig) -> ModelsHere:
    """What runs here: tiny models always; published ones with a GPU and their weights, or when they are asked for.

    Args:
        asked: a model to take whatever is here; its weights are fetched.

    Raises:
        UsageError: there is no such model.
    """
    tiny = tuple(name for name, spec in MODELS.items() if not spec.base)
    gpu = torch.cuda.is_available()
    published = tuple(name for name in MODELS if name not in tiny and gpu and weights_are_here(model_spec(name)))
    if asked is not None:
        model_spec(asked)
        runnable = tuple(name for name in MODELS if name in (*tiny, *published, asked))
        return ModelsHere(asked, runnable, _warning(asked in tiny, "it was asked for"), config)
    if published:
        return ModelsHere(published[0], (*published, *tiny), "", config)
    return ModelsHere(tiny[0], tiny, _warning(True, "no weights are here" if gpu else "there is no GPU here"), config)


def _warning(tiny: bool, reason: str) -> str:
    if not tiny:
        return ""
    return (
        f"This page runs on a tiny model with random weights, because {reason}: every step is real, but the videos are "
        "noise. Draw here, download the request, and generate it where a published model runs."
    )
