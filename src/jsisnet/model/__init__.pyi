from jsisnet.model.hub import HubNetwork
from jsisnet.model.methods import (
    Maps,
    RegionHead,
    RegionMethod,
    SemanticMethod,
    Step,
    TrunkShape,
)
from jsisnet.model.network import JSISNet, NetworkConfig, Outputs
from jsisnet.model.psp import PSPConfig
from jsisnet.model.roi_fpn import RoIFPNConfig
from jsisnet.model.roi_last_stage import LastStageConfig
from jsisnet.model.roi_light import LightConfig
from jsisnet.model.semantic_fpn import SemanticFPNConfig
from jsisnet.model.trunk import TrunkConfig

__all__ = [
    "HubNetwork",
    "JSISNet",
    "LastStageConfig",
    "LightConfig",
    "Maps",
    "NetworkConfig",
    "Outputs",
    "PSPConfig",
    "RegionHead",
    "RegionMethod",
    "RoIFPNConfig",
    "SemanticFPNConfig",
    "SemanticMethod",
    "Step",
    "TrunkConfig",
    "TrunkShape",
]
