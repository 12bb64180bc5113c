"""An LM is asked for no more answers at a time than it has places."""

import asyncio
import threading

import pytest

from po_optimizer.lms.lm import use_lm
from po_optimizer.optimization.background import in_background
from tests.scripted import ScriptedEngine, prompt_text, scripted_lm


class Crowd:
    """Answers, and counts how many were asked for at once; the first waits a little."""

    def __init__(self):
        self.most, self._now, self._lock = 0, 0, threading.Lock()
        self.full = threading.Event()

    def __call__(self, prompt):
        """Its answer."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            if self._now > 2:
                self.full.set()
        self.full.wait(0.05)
        with self._lock:
            self._now -= 1
        return '{"answer": "1"}'


@pytest.mark.parametrize("threads", [2, 8])
def test_calls_at_a_time_are_the_places_of_the_lm(tmp_path, threads):
    """However many threads ask, in the background or not."""
    crowd = Crowd()
    lm = scripted_lm(crowd, tmp_path, num_threads=2)
    with use_lm(lm, stage="test"), in_background(threads) as begin:
        for call in [begin(lambda n=n: lm(f"{n}")) for n in range(6)]:
            call()
    assert crowd.most <= 2


def test_a_call_within_a_call_takes_no_place(tmp_path):
    """Two LMs that ask a third one would else wait for one another for ever."""
    inner, both = scripted_lm(Crowd(), tmp_path, num_threads=2), threading.Barrier(2)

    class Asking(ScriptedEngine):
        def complete(self, request):
            both.wait(10)
            inner(prompt_text(request))
            return super().complete(request)

    outer = scripted_lm(Crowd(), tmp_path / "outer", num_threads=2)
    outer.provider.connect = lambda: Asking(Crowd())
    with use_lm(outer, stage="test"), in_background(2) as begin:
        calls = [begin(lambda n=n: outer(f"{n}")) for n in range(2)]
        assert all(call() for call in calls)


def test_awaited_calls_do_not_block_their_loop(tmp_path):
    """More tasks of one event loop than there are places all come to an end."""
    lm = scripted_lm(Crowd(), tmp_path, num_threads=2)

    async def ask():
        return await asyncio.gather(*[lm.acall(f"{n}") for n in range(5)])

    with use_lm(lm, stage="test"), in_background(2):
        assert len(asyncio.run(asyncio.wait_for(ask(), 30))) == 5
