"""Python's garbage collector, set for processes that run for long."""

import gc


def spare_what_is_loaded() -> None:
    """Leave what the modules made alone, and collect less often; to be called once everything is imported.

    What is loaded stays for good: looking through it at every collection would stall whatever is going on.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
