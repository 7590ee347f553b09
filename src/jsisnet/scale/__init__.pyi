from jsisnet.scale.cluster import Cluster, connected
from jsisnet.scale.connection import ClusterConfig
from jsisnet.scale.metrics import evaluate_on_cluster, share_out
from jsisnet.scale.photos import segment_on_cluster
from jsisnet.scale.store import find_stored, predict_to_store

__all__ = [
    "Cluster",
    "ClusterConfig",
    "connected",
    "evaluate_on_cluster",
    "find_stored",
    "predict_to_store",
    "segment_on_cluster",
    "share_out",
]
