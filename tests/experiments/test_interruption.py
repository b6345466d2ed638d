import os
import signal
import threading

import pytest

from kerastrain.experiments.interruption import EXIT_CODES, Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_acts(number):
    hits = []
    before = signal.signal(number, lambda *_: hits.append(number))
    try:
        interruption = Interruption()
        with interruption.listening():
            os.kill(os.getpid(), number)
            assert interruption.name == signal.Signals(number).name and not hits
            os.kill(os.getpid(), number)
            assert hits == [number]
        assert interruption.name in EXIT_CODES
    finally:
        signal.signal(number, before)


def test_handlers_are_put_back_also_after_an_exception():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(RuntimeError), Interruption().listening():
        assert signal.getsignal(signal.SIGINT) != before[0]
        raise RuntimeError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_another_thread_listens_to_nothing():
    names = []

    def work():
        interruption = Interruption()
        with interruption.listening():
            names.append(interruption.name)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert names == [None]
