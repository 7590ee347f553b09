import os
import signal

import pytest

from jsisnet.cli import errors
from jsisnet.cli.errors import TERMINATED


@pytest.fixture(autouse=True)
def interruptible():
    """Restore the default SIGINT handler, even if the parent process ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_swallowed_interrupt_is_raised_again():
    with errors.signals_raise():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            errors.raise_received()


def test_termination_exits_with_its_code():
    with errors.signals_raise(), pytest.raises(SystemExit) as raised:
        os.kill(os.getpid(), signal.SIGTERM)

    assert raised.value.code == TERMINATED


def test_without_a_signal_or_after_the_block_nothing_is_raised():
    errors.raise_received()
    with errors.signals_raise(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    errors.raise_received()

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_interrupt_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    with errors.signals_raise():
        os.kill(os.getpid(), signal.SIGINT)
        errors.raise_received()

    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
