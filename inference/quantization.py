"""Transformers whose weights take less memory than bfloat16: 8-bit integers by torchao, or a GGUF file.

8-bit floats need nothing at loading: `memory.place` casts weights in place and computes in bfloat16.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers.quantizers.quantization_config import GGUFQuantizationConfig, TorchAoConfig

from curation.contract.errors import UsageError
from curation.models.packages import require_package


def load_int8(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """A transformer of diffusers class `kind` with the weights of its linear layers as 8-bit integers.

    What the class names as unfit for 8 bits (embeddings of patches and time, modulations) stays in `dtype`.

    Raises:
        BackendUnavailableError: torchao is not installed.
    """
    require_package("--quantization int8", "torchao", "torchao")
    from torchao.quantization import Int8WeightOnlyConfig  # pyright: ignore[reportMissingImports]

    kept = [*(kind._skip_layerwise_casting_patterns or ()), "proj_out"]
    config = TorchAoConfig(Int8WeightOnlyConfig(), modules_to_not_convert=kept)
    return kind.from_pretrained(folder, quantization_config=config, dtype=dtype)


def load_gguf(kind: Any, file: Path, config_folder: Path, dtype: torch.dtype) -> Any:
    """A transformer of diffusers class `kind` from a GGUF file, whose layers' names may be diffusers' or Wan's own.

    Args:
        config_folder: holds the config.json of such a transformer; input channels are as the file has them.

    Raises:
        BackendUnavailableError: gguf is not installed.
        UsageError: diffusers has no GGUF loading for this class, or the file holds no such transformer.
    """
    require_package(f"{file}: GGUF", "gguf", "gguf")
    from diffusers.loaders.single_file_utils import SingleFileComponentError
    from diffusers.models.model_loading_utils import load_gguf_checkpoint

    if not hasattr(kind, "from_single_file"):
        raise UsageError(f"{file}: diffusers reads GGUF files of Wan's transformers, not of {kind.__name__}")
    try:
        weights = load_gguf_checkpoint(file)
        patches = [part for name, part in weights.items() if name.endswith("patch_embedding.weight")]
        if not patches:
            raise ValueError("it has no patch_embedding")
        return kind.from_single_file(
            weights,
            config=str(config_folder),
            in_channels=patches[0].shape[1],
            quantization_config=GGUFQuantizationConfig(compute_dtype=dtype),
            dtype=dtype,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SingleFileComponentError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{file}: no GGUF file of a {kind.__name__}: {reason}") from None
