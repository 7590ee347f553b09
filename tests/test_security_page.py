import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_what_checks_a_promise_exists():
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")

    named = set(re.findall(r"`(tests/[\w/]+\.py)`", page))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
