"""The objective of a family."""

from training.models.config import Family
from training.objectives.config import ObjectiveConfig
from training.objectives.flow_matching import FlowMatching
from training.objectives.protocol import Objective
from training.objectives.v_prediction import VPrediction


def build_objective(family: Family, config: ObjectiveConfig) -> Objective:
    """v-prediction for CogVideoX, flow matching for Wan."""
    return VPrediction(config) if family == "cogvideox" else FlowMatching(config)
