from jsisnet.serve.app import AppConfig, create_app
from jsisnet.serve.limits import Limits
from jsisnet.serve.pool import Pool, PoolConfig
from jsisnet.serve.server import ServerConfig, run_server
from jsisnet.serve.worker import Work

__all__ = [
    "AppConfig",
    "Limits",
    "Pool",
    "PoolConfig",
    "ServerConfig",
    "Work",
    "create_app",
    "run_server",
]
