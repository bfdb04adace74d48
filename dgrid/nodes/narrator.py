"""What a run tells while it goes on; the command line decides how it looks."""

from __future__ import annotations

from typing import Protocol


class Narrator(Protocol):
    """Listener to the story of a run. For the main thread; ``note`` may be called from any."""

    def phase(self, text: str) -> None:
        """A step begins: "images on 4 nodes"."""

    def milestone(self, text: str) -> None:
        """Something has come to pass that is no step with an end: "head runs on node1"."""

    def note(self, text: str) -> None:
        """Something the user should know although the run goes on."""

    def output(self, title: str, text: str) -> None:
        """The last lines of a container, under a title."""
