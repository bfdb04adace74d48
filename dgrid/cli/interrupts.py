"""Ctrl-C before there is anything to clean up: dgrid ends at once and without a word, as any program does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silent_interrupts() -> Iterator[None]:
    """Within it INT ends the process. Only from the main thread.

    Python's own exception would be a traceback in the middle of an import, or get lost in a callback of the importer.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
