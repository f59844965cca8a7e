"""Python's garbage collector, set for processes that run for long."""

import gc


def load_without_collecting() -> None:
    """Collect nothing until `spare_what_is_loaded`: what modules make stays; looking through it delays the start."""
    gc.disable()


def spare_what_is_loaded() -> None:
    """Leave what the modules made alone, and collect less often; to be called once everything is loaded.

    What is loaded stays for good: looking through it at every collection would stall whatever is going on. The
    thousand objects that loading leaves behind stay too; finding them would take a tenth of a second.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()
