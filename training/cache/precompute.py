"""`python -m training precompute`: encode what does not depend on the draw, once, for every run that follows.

Region box and kept points vary by epoch, so first frames and trajectories are encoded in the loop. CogVideoX noises the
pixels of the ID reference in every step, so its ID latents depend on the draw too and are not cached.
"""

import logging
import sys

from curation.contract.manifest import RunFolder
from curation.engine.engine import Engine
from curation.engine.ledger import Ledger
from curation.engine.shards import Item
from training.cache.keys import identity_key, text_key
from training.cache.reader import PASS
from training.cache.schemas import DATASETS
from training.cache.settings import cache_settings, claim_cache, settings_fingerprint
from training.cache.worker import PrecomputeSpec
from training.config import TrainingConfig
from training.data.index import SampleIndex

logger = logging.getLogger(__name__)


def precompute(config: TrainingConfig, output: str) -> int:
    """Write the values of all samples that are not in the cache yet; what failed before is tried again.

    Args:
        output: the cache, a local path or URI.

    Returns:
        How many samples have no values, as their videos cannot be read. Training replaces them, as without a cache.

    Raises:
        UsageError: the output holds other things or was made with other settings, or there are no samples.
        BackendUnavailableError: weights are neither here nor can they be fetched.
    """
    cache, settings = RunFolder(output), cache_settings(config)
    config = _absolute(config)
    index = SampleIndex(config.data)
    claim_cache(cache, settings)
    ledger = Ledger(cache, PASS, DATASETS)
    swept = ledger.sweep()
    if swept:
        logger.info("removed %d files that an interrupted precompute left uncommitted", swept)

    with_identity = config.data.stage == "inout" and config.model.family != "cogvideox"
    wanted = {_item_id(index, row, with_identity): row for row in range(len(index))}
    done = _done(ledger)
    pending = [
        Item(name, index.sample_id(row), 0, payload=str(row)) for name, row in wanted.items() if name not in done
    ]
    _say(f"{len(index)} samples, {len(pending)} to encode")
    spec = PrecomputeSpec(config.model_dump_json(), cache.uri, settings_fingerprint(settings), with_identity)
    with Engine(config.engine) as engine:
        engine.run(PASS, pending, spec, "samples")
    failed = len(wanted.keys() - _done(ledger))
    _say(f"cached: {cache.uri}" + (f"; {failed} videos could not be read, a rerun tries again" if failed else ""))
    return failed


def _item_id(index: SampleIndex, row: int, with_identity: bool) -> str:
    """Changes with anything that is cached of a sample, so that a changed sample is one to encode."""
    caption, png = index.caption_and_identity(row)
    keys = [index.video_key(row), text_key(caption)]
    if with_identity:
        keys.append(identity_key(png, index.bucket(row)[:2]))
    return "-".join(keys)


def _done(ledger: Ledger) -> set[str]:
    return {row["item_id"] for rows in ledger.entries().values() for row in rows if row["state"] == "done"}


def _absolute(config: TrainingConfig) -> TrainingConfig:
    """Workers may stand in another folder."""
    runs = tuple(manifest.model_copy(update={"run": RunFolder(manifest.run).uri}) for manifest in config.data.manifests)
    return config.model_copy(update={"data": config.data.model_copy(update={"manifests": runs})})


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
