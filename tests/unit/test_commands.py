"""What we start can be interrupted, and we wait for its end."""

import signal
import subprocess
import sys

from cli.commands import interrupts_left_to_child

ASKED = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
INTERRUPTING = """
import os, signal
os.kill(os.getppid(), signal.SIGINT)
print('ended in order')
"""


def test_what_is_started_in_the_background_does_not_ignore_an_interrupt() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_left_to_child():
            answer = subprocess.run([sys.executable, "-c", ASKED], check=True, capture_output=True, text=True).stdout
        assert answer.strip() == "False", "Pulumi would wait 5 s for each language host that it ends"
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_does_not_end_the_wait_for_what_was_started() -> None:
    with interrupts_left_to_child():
        done = subprocess.run([sys.executable, "-c", INTERRUPTING], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "ended in order")
