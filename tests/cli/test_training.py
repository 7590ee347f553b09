import pytest

from jsisnet.cli.training import Bar, Lines, listening, losses, quality
from jsisnet.config import TrainConfig
from jsisnet.trainer import Listener
from jsisnet.training.loop import StepReport

CONFIG = TrainConfig(steps=10, batch_size=2, log_every=4)
RESULT = {"all": {"pq": 12.345}, "things": {"pq": None}, "stuff": {"pq": 3.0}}


def report(step):
    terms = {"classes": 0.25, "masks": 0.5}
    return StepReport(step=step, terms=terms, total=0.75, gradient=1.0, lr=0.01)


def test_a_line_holds_the_total_and_its_terms():
    assert losses(report(1)) == "loss 0.7500 = classes 0.2500  masks 0.5000"


def test_quality_that_does_not_exist_is_a_dash():
    assert quality(5, RESULT) == "PQ after step 5: all 12.35, things -, stuff 3.00"


def test_where_there_is_no_terminal_every_so_many_steps_get_a_line(capsys):
    with listening(CONFIG) as listener:
        listener.begun(2, 10)
        for step in range(3, 11):
            listener.stepped(report(step))
        listener.evaluated(10, RESULT)

    assert isinstance(listener, Lines)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["4/10", "8/10", "10/10", "after"]
    assert "left" in lines[0]
    assert "photos/s" in lines[0]


def test_a_terminal_gets_a_bar_with_the_last_loss_and_quality(monkeypatch, capsys):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with listening(CONFIG) as listener:
        listener.begun(2, 10)
        for step in range(3, 11):
            listener.stepped(report(step))
        listener.evaluated(10, RESULT)

    assert isinstance(listener, Bar)
    text = capsys.readouterr().out
    assert "10/10" in text
    assert losses(report(10)) in text
    assert quality(10, RESULT) in text


@pytest.mark.parametrize("kind", [Bar, Lines])
def test_both_listen_to_the_trainer(kind):
    assert isinstance(kind(CONFIG), Listener)
