"""Lazy exports: the public names of a package are imported when they are first used.

The package's ``__init__.pyi`` says where they are; type checkers and editors read it too.
"""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from jsisnet.extras import install_hint

Exports = tuple[Callable[[str], object], Callable[[], list[str]], list[str]]


def attach(package: str, file: str) -> Exports:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package, as its stub declares them.

    Args:
        package: Name of the package, ``__name__``.
        file: Its ``__init__.py``, ``__file__``; the stub lies beside it.
    """
    imports = _imports(Path(file).with_suffix(".pyi"))

    def get(name: str) -> object:
        if name not in imports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, attribute = imports[name]
        try:
            value = getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            hint = install_hint(f"{package}.{name}", error.name or "")
            if hint is None:
                raise
            raise ImportError(hint) from error
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        dunders = (name for name in vars(sys.modules[package]) if name.startswith("__"))
        return sorted({*imports, *dunders})

    return get, names, sorted(imports)


def _imports(stub: Path) -> dict[str, tuple[str, str]]:
    """Read the module and the original name of each import in a stub."""
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }
