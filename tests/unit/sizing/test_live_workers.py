"""Workers that die, join or stay silent while they are asked."""

from __future__ import annotations

import pytest
from distributed.comm import CommClosedError

from safeframe.errors import ClusterError
from safeframe.sizing import live_workers
from safeframe.sizing.live_workers import ask_workers, register_on_workers, unregister_on_workers


class FakeScheduler:
    address = "tcp://scheduler"


class FakeClient:
    """A cluster that goes from one state to the next with every broadcast."""

    scheduler = FakeScheduler()

    def __init__(self, *rounds):
        self.rounds = list(rounds)
        self.asked = []
        self.waited = 0
        self.living = {}

    def run(self, function, *args, workers, on_error):
        assert on_error == "return"
        answers, living = self.rounds.pop(0)
        self.asked.append(workers)
        self.living = living
        if isinstance(answers, Exception):
            raise answers
        return answers

    def scheduler_info(self, n_workers):
        return {"workers": dict.fromkeys(self.living)}

    def wait_for_workers(self, n_workers, timeout):
        self.waited += 1

    def register_plugin(self, plugin, name):
        self.asked.append(name)
        if self.rounds and (failure := self.rounds.pop(0)):
            raise failure

    def unregister_worker_plugin(self, name):
        raise CommClosedError


class Plugin:
    name = "a-plugin"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(live_workers, "_PAUSES_SECONDS", (0, 0, 0))


GONE = CommClosedError("in <TCP (closed)>: Stream is closed")


@pytest.mark.parametrize(
    ("rounds", "answers", "asked"),
    [
        ([({"a": 1, "b": 2}, "ab")], {"a": 1, "b": 2}, [None]),
        # The broadcast as a whole fails.
        ([(GONE, "ab"), ({"a": 1}, "a")], {"a": 1}, [None, None]),
        # One dies: those that live have answered.
        ([({"a": 1, "b": GONE}, "a")], {"a": 1}, [None]),
        # One could not be reached, and can be now.
        ([({"a": 1, "b": GONE}, "ab"), ({"b": 2}, "ab")], {"a": 1, "b": 2}, [None, ["b"]]),
        # One answered, and has died since; another has joined.
        ([({"a": 1, "b": GONE}, "bc"), ({"b": 2, "c": 3}, "bc")], {"b": 2, "c": 3}, [None, ["b", "c"]]),
        # One never answers, but others do.
        ([({"a": 1, "b": GONE}, "ab"), *[({"b": GONE}, "ab")] * 2], {"a": 1}, [None, ["b"], ["b"]]),
        # All die, and others come.
        ([({"a": GONE, "b": GONE}, ""), ({"c": 3}, "c")], {"c": 3}, [None, None]),
    ],
)
def test_those_that_live_answer(rounds, answers, asked):
    client = FakeClient(*rounds)
    assert ask_workers(client, len) == answers
    assert client.asked == asked
    assert client.waited == sum(not living for _, living in rounds)


def test_no_answer_is_said_in_words():
    client = FakeClient(*[({"a": GONE}, "a")] * 3)
    with pytest.raises(
        ClusterError, match=r"No answer .* tcp://scheduler after 3 tries\.(.|\n)*Hint: "
    ) as info:
        ask_workers(client, len)
    assert info.value.__cause__ is GONE


def test_what_the_function_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        ask_workers(FakeClient(({"a": ZeroDivisionError()}, "a")), len)


def test_a_plugin_is_registered_again_where_a_worker_has_died():
    client = FakeClient(GONE, None)
    register_on_workers(client, Plugin())
    assert client.asked == ["a-plugin", "a-plugin"]
    with pytest.raises(ClusterError):
        register_on_workers(FakeClient(GONE, GONE, GONE), Plugin())


def test_a_plugin_goes_from_the_workers_that_live():
    client = FakeClient(({"a": None}, "a"))
    unregister_on_workers(client, "a-plugin")
    assert client.asked == [None]
