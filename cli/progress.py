"""The bar that long work shows on standard error, on a terminal only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(counted: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar; it is told how much is done, and of how much if that is known. counted: what it counts."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(counted, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
