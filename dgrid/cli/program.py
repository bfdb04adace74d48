"""The program ``dgrid`` from its first moment: loading it takes half a second on a busy node."""

from __future__ import annotations

from dgrid.cli.interrupts import silent_interrupts


def entry() -> None:
    """The console script."""
    with silent_interrupts():
        from dgrid.cli.main import entry as main
    main()
