from jsisnet.model.hub import HubNetwork
from jsisnet.model.network import JSISNet, NetworkConfig, Outputs

__all__ = ["HubNetwork", "JSISNet", "NetworkConfig", "Outputs"]
