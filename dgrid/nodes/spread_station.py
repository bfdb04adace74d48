"""dgrid's hold on one node's relay: starts it over the link, tells it what to do, hears what it says."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from dgrid.errors import LinkDropped, NodeError
from dgrid.nodes.link import Resident, Stream
from dgrid.nodes.machine import Machine
from dgrid.record import record

_START_S = 20.0
_SILENCE_S = 10.0  # ten times what a relay lets pass without a word
_PARTS = ("spread_window", "spread_wire", "spread_relay")
# No python here at all is no error of the node's; what is printed besides comes from start-up files of the shell.
_SEND = """
umask 077
for p in python3 /usr/libexec/platform-python ""; do
  [ -z "$p" ] || ! "$p" -c "import sys, ssl; sys.exit(sys.version_info < (3, 7))" </dev/null >/dev/null 2>&1 || break
done
[ -n "$p" ] || { echo "relay none"; exit; }
d=$(mktemp -d /tmp/dgrid-XXXXXXXX) && mkdir -p "$d/dgrid/nodes" && cd "$d" || exit 1
: > dgrid/__init__.py
: > dgrid/nodes/__init__.py
"""

Heard = SimpleQueue["tuple[str, Mapping[str, Any]] | None"]
"""What relays said: the node's name and the event; None wakes whoever waits."""


@record
class NoRelay:
    """Why there can be no relay on a node that is well otherwise."""

    node: str
    why: str


class Station:
    """A running relay; made by ``open_station``."""

    def __init__(self, node: str, resident: Resident, stream: Stream, heard: Heard) -> None:
        self.node = node
        self._resident = resident
        self._stream = stream
        self._heard = heard
        self._received = b""

    def tell(self, do: str, more: Mapping[str, Any]) -> None:
        """Send a command; a relay that is lost is heard of as such."""
        try:
            self._stream.sendall(json.dumps({"do": do, **more}).encode() + b"\n")
        except (OSError, EOFError) as error:
            self._heard.put((self.node, {"event": "lost", "why": _lost(error)}))

    def hear(self) -> Mapping[str, Any]:
        """The next event; ``lost`` when there will be none."""
        try:
            self._stream.settimeout(_SILENCE_S)
            while b"\n" not in self._received:
                data = self._stream.recv(65536)
                if not data:
                    return {"event": "lost", "why": "its relay ended"}
                self._received += data
        except (OSError, EOFError) as error:
            return {"event": "lost", "why": _lost(error)}
        line, _, self._received = self._received.partition(b"\n")
        event: Mapping[str, Any] = json.loads(line)
        return event

    def listen(self) -> None:
        """From now on put all that is heard into the queue."""
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """End the relay, and with it what its engine was loading."""
        with contextlib.suppress(OSError, EOFError):
            self._stream.close()
        with contextlib.suppress(OSError, EOFError):
            self._resident.close()

    def _listen(self) -> None:
        event: Mapping[str, Any] = {"event": ""}
        while event["event"] != "lost":
            event = self.hear()
            self._heard.put((self.node, event))


def open_station(machine: Machine, load: str | None, certificate: str, heard: Heard) -> tuple[Station, int] | NoRelay:
    """Start a relay on a node, and its port. ``load`` is the path of the call that loads images into the engine; None
    for a node that has the image. Raises LinkError."""
    sent = machine.link.run(_send_script(), _START_S)
    words = next((line.split() for line in sent.output.splitlines() if line.startswith("relay ")), ["", "failed"])
    if words[1] == "none":
        return NoRelay(machine.name, "there is no python3 (3.7 or newer) there")
    if words[1] == "failed":
        return NoRelay(machine.name, f"/tmp cannot be written to there ({sent.output.strip()[-200:]})")
    _, python, directory = words
    resident = machine.link.stay(f"exec {python} -B {directory} {directory}")
    try:
        station = Station(machine.name, resident, _dial(machine, resident), heard)
        engine = machine.engine.socket_path
        station.tell("set up", {"node": machine.name, "engine": engine, "load": load, "certificate": certificate})
        while (event := station.hear())["event"] != "up":
            if event["event"] == "lost":
                raise LinkDropped(machine.name, f"the relay of the image does not start: {event['why']}")
    except (NodeError, TimeoutError) as error:
        resident.close()
        machine.link.run(f"rm -rf {directory}", _START_S)
        return NoRelay(machine.name, f"the relay of the image does not start ({error or 'no answer'})")
    station.listen()
    return station, int(event["port"])


def _dial(machine: Machine, resident: Resident) -> Stream:
    while line := resident.read_line(_START_S):
        word, _, path = line.partition(" ")
        if word == "relay":
            return machine.link.dial(path, _START_S)
    raise LinkDropped(machine.name, "it ended at once")


def _send_script() -> str:
    here = Path(__file__).parent
    files = {f"dgrid/nodes/{part}.py": (here / f"{part}.py").read_text(encoding="utf-8") for part in _PARTS}
    files["__main__.py"] = "import sys\n\nfrom dgrid.nodes.spread_relay import main\n\nmain(sys.argv[1])\n"
    parts = [f"cat > {name} <<\\END_OF_FILE\n{text}END_OF_FILE\n" for name, text in files.items()]
    return "".join((_SEND, *parts, 'echo "relay $p $d"\n'))


def _lost(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"it has not answered for {_SILENCE_S:g} s"
    return f"the connection is lost ({error or type(error).__name__})"
