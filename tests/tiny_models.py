"""Tiny models with random weights, of the classes that the full preset uses, as local folders in the hub's layout."""

import json
from pathlib import Path

import torch

LABELS = {0: "person", 1: "car", 2: "dog", 3: "sky", 4: "flower"}


def _find_something(model) -> None:
    """Let a random panoptic model find segments: never the class 'nothing', and masks that differ."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "class_embed" in name or "class_predictor" in name:
                value.normal_()
                if name.endswith("bias"):
                    value[-1] = -50
            elif "mask_embed" in name or "mask_head" in name:
                value.normal_(std=0.3)


def _swin():
    from transformers import SwinConfig

    return SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def oneformer(folder: Path) -> Path:
    from transformers import (
        CLIPTokenizer,
        OneFormerConfig,
        OneFormerForUniversalSegmentation,
        OneFormerImageProcessor,
        OneFormerProcessor,
    )

    torch.manual_seed(0)
    config = OneFormerConfig(
        backbone_config=_swin(),
        num_queries=12,
        hidden_dim=32,
        conv_dim=32,
        mask_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        num_attention_heads=2,
        text_encoder_width=32,
        text_encoder_num_layers=1,
        text_encoder_context_length=16,
        text_encoder_vocab_size=300,
        task_seq_len=16,
        max_seq_len=16,
        num_labels=len(LABELS),
        id2label=LABELS,
        label2id={name: i for i, name in LABELS.items()},
        use_auxiliary_loss=False,
        is_training=False,
    )
    model = OneFormerForUniversalSegmentation(config).eval()
    _find_something(model)
    model.save_pretrained(folder)
    (folder / "classes.json").write_text(json.dumps({str(i): {"name": n, "isthing": 1} for i, n in LABELS.items()}))
    images = OneFormerImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 128},
        repo_path=str(folder),
        class_info_file="classes.json",
        num_text=4,
        num_labels=len(LABELS),
    )
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    tokenizer = CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[])
    OneFormerProcessor(images, tokenizer, max_seq_length=16, task_seq_length=16).save_pretrained(folder)
    return folder


def mask2former(folder: Path) -> Path:
    from transformers import (
        Mask2FormerConfig,
        Mask2FormerForUniversalSegmentation,
        Mask2FormerImageProcessor,
    )

    torch.manual_seed(0)
    config = Mask2FormerConfig(
        backbone_config=_swin(),
        num_queries=12,
        hidden_dim=32,
        feature_size=32,
        mask_feature_size=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        num_attention_heads=2,
        num_labels=len(LABELS),
        id2label=LABELS,
        label2id={name: i for i, name in LABELS.items()},
    )
    model = Mask2FormerForUniversalSegmentation(config).eval()
    _find_something(model)
    model.save_pretrained(folder)
    Mask2FormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 128}, num_labels=len(LABELS)).save_pretrained(
        folder
    )
    return folder


def eomt(folder: Path) -> Path:
    from transformers import EomtConfig, EomtForUniversalSegmentation, EomtImageProcessor

    torch.manual_seed(0)
    config = EomtConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=64,
        patch_size=8,
        num_blocks=1,
        num_queries=12,
        num_register_tokens=0,
        num_upscale_blocks=1,
        num_labels=len(LABELS),
        id2label=LABELS,
        label2id={name: i for i, name in LABELS.items()},
    )
    model = EomtForUniversalSegmentation(config).eval()
    _find_something(model)
    model.save_pretrained(folder)
    EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}, do_pad=True).save_pretrained(folder)
    return folder


_SIDE = 128


def sam2(folder: Path) -> Path:
    from transformers import Sam2VideoConfig, Sam2VideoModel

    torch.manual_seed(0)
    config = Sam2VideoConfig(
        vision_config=_vision(_hiera(), [128, 64, 32, 16]), memory_attention_rope_feat_sizes=[8, 8], **_memory()
    )
    Sam2VideoModel(config).eval().save_pretrained(folder)
    return _video_processor(folder)


def sam2_picture(folder: Path) -> Path:
    """For single pictures."""
    from transformers import Sam2Config, Sam2ImageProcessor, Sam2Model, Sam2Processor

    torch.manual_seed(0)
    config = Sam2Config(vision_config=_vision(_hiera(), [128, 64, 32, 16]), **_prompts())
    Sam2Model(config).eval().save_pretrained(folder)
    images = Sam2ImageProcessor(size={"height": _SIDE, "width": _SIDE})
    Sam2Processor(images, target_size=_SIDE).save_pretrained(folder)
    return folder


def edgetam(folder: Path) -> Path:
    from transformers import EdgeTamVideoConfig, EdgeTamVideoModel, TimmWrapperConfig

    backbone = TimmWrapperConfig(
        architecture="resnet10t", model_args={"in_chans": 3, "features_only": True, "out_indices": [1, 2, 3, 4]}
    )
    vision = {"model_type": "edgetam_vision_model"} | _vision(backbone, [512, 256, 128, 64])
    torch.manual_seed(0)
    config = EdgeTamVideoConfig(
        vision_config=vision,
        memory_attention_mlp_hidden_size=64,
        memory_attention_rope_feat_sizes=[8, 8],
        memory_attention_rope_k_sizes=[4, 4],
        perceiver_resampler_num_latents=16,
        perceiver_resampler_num_latents_2d=16,
        perceiver_resampler_mlp_intermediate_size=32,
        **_memory(),
    )
    EdgeTamVideoModel(config).eval().save_pretrained(folder)
    return _video_processor(folder)


def _hiera() -> dict:
    return {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 16,
        "image_size": [_SIDE, _SIDE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [8, 4, 4, 4],
        "global_attention_blocks": [3],
    }


def _vision(backbone, channels: list[int]) -> dict:
    return {
        "backbone_config": backbone,
        "backbone_channel_list": channels,
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        "fpn_hidden_size": 128,
    }


def _prompts() -> dict:
    decoder = {"hidden_size": 128, "mlp_dim": 64, "iou_head_hidden_dim": 32, "num_attention_heads": 2}
    return {
        "prompt_encoder_config": {"hidden_size": 128, "image_size": _SIDE},
        "mask_decoder_config": decoder,
    }


def _memory() -> dict:
    return _prompts() | {
        "memory_attention_hidden_size": 128,
        "memory_attention_num_layers": 1,
        "memory_encoder_hidden_size": 128,
        "memory_encoder_output_channels": 64,
        "mask_downsampler_embed_dim": 128,
        "memory_fuser_embed_dim": 128,
        "memory_fuser_intermediate_dim": 64,
        "memory_fuser_num_layers": 1,
        "image_size": _SIDE,
    }


def _video_processor(folder: Path) -> Path:
    from transformers import Sam2ImageProcessor, Sam2VideoProcessor, Sam2VideoVideoProcessor

    side = {"height": _SIDE, "width": _SIDE}
    Sam2VideoProcessor(
        Sam2ImageProcessor(size=side), Sam2VideoVideoProcessor(size=side), target_size=_SIDE
    ).save_pretrained(folder)
    return folder


def qwen2_5_vl(folder: Path) -> Path:
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    vision = {"fullatt_block_indexes": [1], "window_size": 56}
    tokenizer = _save_speaker(folder, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLConfig, vision)
    processor = Qwen2_5_VLProcessor(Qwen2VLImageProcessor(), tokenizer, Qwen2VLVideoProcessor(), chat_template=_CHAT)
    processor.save_pretrained(folder)
    return folder


def qwen3_vl(folder: Path) -> Path:
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    vision = {"deepstack_visual_indexes": [0], "num_position_embeddings": 64}
    tokenizer = _save_speaker(folder, Qwen3VLForConditionalGeneration, Qwen3VLConfig, vision)
    images = Qwen2VLImageProcessor(patch_size=16)
    Qwen3VLProcessor(images, tokenizer, Qwen3VLVideoProcessor(), chat_template=_CHAT).save_pretrained(folder)
    return folder


def _save_speaker(folder: Path, model_class, config_class, vision: dict):
    """Save a vision-language model; returns its tokenizer."""
    tokenizer, ids = _byte_tokenizer()
    torch.manual_seed(0)
    size = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32}
    config = config_class(text_config=_text(len(tokenizer)), vision_config=size | vision, **ids)
    model = model_class(config).eval()
    _speak(model, len(tokenizer))
    model.save_pretrained(folder)
    return tokenizer


_SPOKEN = ("a", "red", "car", "moves", "slowly", "to", "the", "left")


def _speak(model, vocabulary: int) -> None:
    """Let a random model answer in words: all other tokens get the logit 0."""
    with torch.no_grad():
        model.lm_head.weight[: vocabulary - len(_SPOKEN)] = 0


_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _byte_tokenizer():
    from transformers import Qwen2Tokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    special = [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|video_pad|>",
        "<|image_pad|>",
    ]
    words = [*bytes_to_unicode().values(), *special, *(f"Ġ{word}" for word in _SPOKEN)]
    tokenizer = Qwen2Tokenizer(
        vocab={word: index for index, word in enumerate(words)},
        merges=[],
        unk_token=None,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        additional_special_tokens=special[1:],
    )
    ids = {
        "image_token_id": words.index("<|image_pad|>"),
        "video_token_id": words.index("<|video_pad|>"),
        "vision_start_token_id": words.index("<|vision_start|>"),
        "vision_end_token_id": words.index("<|vision_end|>"),
    }
    return tokenizer, ids


def _text(vocabulary: int) -> dict:
    return {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
        "eos_token_id": 258,
        "pad_token_id": 256,
        "bos_token_id": None,
    }
