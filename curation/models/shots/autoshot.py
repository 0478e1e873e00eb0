"""AutoShot (Zhu et al. 2023, arXiv:2304.06116): settings of a shot detector that this version cannot run yet."""

from pydantic import Field

from curation.contract.config import Config


class AutoShotConfig(Config):
    threshold: float = Field(
        default=0.296, gt=0, lt=1, description="probability above which there is a cut (reference recipe v1.5, step 2)"
    )
