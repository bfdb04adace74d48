"""Makes debian:trixie-slim, from which the examples' images are built, exist on this machine's engine."""

from __future__ import annotations

import os

from dgrid.lab.machine import DEFAULT_ENGINE, machine_at
from dgrid.lab.node_image import ensure_base

if __name__ == "__main__":
    machine = machine_at(os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE)
    ensure_base(machine, lambda text: print(f"demo: {text}", flush=True))
