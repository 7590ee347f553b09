from jsisnet.model.instances import Instances
from jsisnet.model.network import JSISNet, NetworkConfig, Outputs

__all__ = ["Instances", "JSISNet", "NetworkConfig", "Outputs"]
