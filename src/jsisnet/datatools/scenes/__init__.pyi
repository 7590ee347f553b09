from jsisnet.datatools.scenes.dataset import write_scenes

__all__ = ["write_scenes"]
