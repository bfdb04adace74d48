"""A starting Dockerfile that needs nothing changed to run under a batch system."""

from __future__ import annotations

import shlex
from pathlib import Path

from dgrid.errors import UsageError

_TEMPLATE = """\
# An image that runs as you on the cluster. Build it with `dgrid image build {directory}`, which fills in the
# ARGs below from your account, and look for what may go wrong with `dgrid image check {directory}`.

# A tag that stays what it is: "latest", or no tag, would be another image tomorrow.
FROM debian:trixie-slim

# What the image needs is installed here, while the build is still root. In a run nobody is: containers there are
# processes of yours, without any capability, and sudo, su and setuid programs give them none.
#
# RUN apt-get update \\
#  && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3 \\
#  && rm -rf /var/lib/apt/lists/*

# You, inside the image, so that files made by the build can be yours. These ARGs stand behind what does not depend on
# them: that is then built only once for all users of an engine.
ARG USER=user
ARG UID=1000
ARG GID=1000
ARG GROUP=users
RUN {{ getent group "$GID" >/dev/null || groupadd --gid "$GID" "$GROUP"; }} \\
 && {{ getent passwd "$UID" >/dev/null \\
      || useradd --no-log-init --uid "$UID" --gid "$GID" --create-home --shell /bin/bash "$USER"; }}

# Files that the run only reads may belong to root; they must be readable, and programs executable, for everybody.
#
# COPY my-program /usr/local/bin/

# Directories that the run writes to must be yours. Not by VOLUME: what that makes belongs to root. To keep what is
# written beyond the run, mount a directory of yours there ("volumes" in the definition).
RUN install -d -o "$UID" -g "$GID" -m 0700 /data

# Ports below 1024 are root's on the nodes' own network: serve on 8080 instead of 80, on 2222 instead of 22.
#
# EXPOSE 8080

# Last, so that all above is done by root and all that follows runs as you.
USER ${{UID}}:${{GID}}
WORKDIR /data

# What runs when the definition has no "run_cmd".
CMD ["/bin/bash"]
"""


def write_dockerfile(directory: Path) -> Path:
    """Write ``directory/Dockerfile``, making the directory if need be; returns its path.

    Raises UsageError where there is one already: nothing is ever overwritten.
    """
    file = directory / "Dockerfile"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(_TEMPLATE.format(directory=_shown(directory)))
    except FileExistsError as error:
        if error.filename == str(file):
            raise UsageError(f"{file}: there is one already, and it stays as it is; give another directory") from error
        raise UsageError(f"{directory}: is a file; give a directory") from error
    except OSError as error:
        raise UsageError(f"{file}: cannot be written ({error.strerror})") from error
    return file


def _shown(directory: Path) -> str:
    """As one would type it, and in one line of a comment whatever it is called."""
    name = str(directory)
    return shlex.quote(name) if name.isprintable() else "DIR"
