"""The card of a benchmark: how it was made and what is in it, in Markdown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from eval.benchmark.plan import Source


def write_card(rows: Sequence[Mapping[str, Any]], source: Source, settings: Mapping[str, Any]) -> str:
    """The card's text.

    Args:
        rows: of the manifest `benchmark`.
    """
    height, width = settings["size"]
    videos = len({row["source_uri"] for row in rows})
    lines = [
        "# Frame In / Frame Out benchmark",
        "",
        f"- **Source**: {source.uri} ({source.title})",
        f"- **Samples**: {len(rows)} of {videos} videos",
        f"- **Clips**: {settings['num_frames']} frames at about 12 per second, whole frames stretched to "
        f"{width}x{height}, H.264 in `media/`",
        "- **Object**: in view in the first frame; enters (leaves) the region box within the clip",
        f"- **Choice**: sides, labels and videos in turn, seed {settings['seed']}",
        "- **Manifests**: samples, videos, clips, tracks, events as a run of curation has them (split `bench`), in px "
        "and frames of the clips; `benchmark` says where each came from",
        "",
        "| kind | samples | sides | labels |",
        "| --- | --- | --- | --- |",
    ]
    for kind in ("frame_in", "frame_out"):
        of_kind = [row for row in rows if row["kind"] == kind]
        sides, labels = (_counts(of_kind, key) for key in ("side", "label"))
        lines.append(f"| {kind} | {len(of_kind)} | {sides} | {labels} |")
    if source.left_out:
        lines += ["", "Left out:", ""]
        lines += [f"- {reason}: {count}" for reason, count in sorted(source.left_out.items())]
    return "\n".join(lines) + "\n"


def _counts(rows: Sequence[Mapping[str, Any]], key: str) -> str:
    counts = Counter(row[key] or "not known" for row in rows)
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"
