from jsisnet.model.network import JSISNet, NetworkConfig, Outputs

__all__ = ["JSISNet", "NetworkConfig", "Outputs"]
