"""What a signal does to a process, also where Python loses the exception that comes out of it."""

import subprocess
import sys

LOST_IN_A_CALLBACK = """
import signal, weakref
from ledger.endings import Ending

class Held: pass

ending = Ending()
held = Held()
reference = weakref.ref(held, lambda _: signal.raise_signal(signal.SIGTERM))
del held
print("lost", flush=True)
ending.heed()
print("not ended", flush=True)
"""


def test_a_signal_whose_exception_got_lost_is_heeded() -> None:
    """Python reports what is raised in the callback of a weak reference, as importing has them, and goes on."""
    process = subprocess.run([sys.executable, "-c", LOST_IN_A_CALLBACK], capture_output=True, text=True, timeout=30)
    assert process.stdout == "lost\n", process.stderr
    assert process.returncode == 0
