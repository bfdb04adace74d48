"""Single values of the definition: from what JSON has to what it means. The schema was kept before."""

from __future__ import annotations

import re
from typing import Any

from dgrid.plan.definition import READY_TIMEOUT_S, SSH_PORT, Link, Ready, ScalePer
from dgrid.plan.environment import check_name
from dgrid.plan.keys import nearest
from dgrid.plan.mistake import Mistake, quote
from dgrid.units import parse_size

SMALLEST_MEMORY_BYTES = 6 * 1024**2
"""What Docker refuses to go below; runc itself needs it to start anything."""

LARGEST_BYTES = 1024**5

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
_READ_AS_ADDRESS = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]+")
_LONGEST_HOST_NAME = 63  # RFC 1035, section 2.3.4
_SIGNALS = frozenset(
    re.findall(
        r"\w+",
        """
    HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG
    XCPU XFSZ VTALRM PROF WINCH IO PWR SYS
""",
    )
)
_REALTIME = re.compile(r"RTMIN(\+([0-9]|[12][0-9]|30))?|RTMAX(-([0-9]|[12][0-9]|30))?")


def boolean(value: Any) -> bool:
    """``boolean("True") is True``: old files write booleans as strings."""
    return value in (True, "True")


def ssh_port(value: Any) -> int | None:
    """``ssh_port({"port": 2200}) == 2200``; True is the usual port, False is None."""
    if isinstance(value, dict):
        return port(value.get("port", SSH_PORT))
    return SSH_PORT if boolean(value) else None


def whole(value: Any) -> int:
    """``whole(2.0) == 2``. A string comes this far only where a ``${NAME}`` may stand for a number."""
    if isinstance(value, str):
        raise _no_number(value, "a whole number")
    return int(value)


def port(value: Any) -> int:
    """``port(22) == 22``; a Mistake for "8080:80", which other tools read as two ports."""
    if isinstance(value, str) and ":" in value:
        raise Mistake("{} are two ports, and none is published", "write the one in the container, as a number", value)
    return whole(value)


def number(value: Any) -> float:
    """``number(2) == 2.0``; as ``whole``, with fractions."""
    if isinstance(value, str):
        raise _no_number(value, "a number")
    return float(value)


def _no_number(value: str, wanted: str) -> Mistake:
    digits = re.fullmatch(r"[0-9]+(\.[0-9]+)?", value)
    return Mistake(f"{{}} is a string where {wanted} is meant", "remove the quotes" if digits else None, value)


def scale(value: Any) -> int | ScalePer:
    """``scale("per_node") is ScalePer.NODE``, ``scale(2) == 2``."""
    choices = {choice.value: choice for choice in ScalePer}
    if not isinstance(value, str):
        return int(value)
    if value in choices:
        return choices[value]
    if re.fullmatch(r"[0-9]+", value):
        raise _no_number(value, "a whole number")
    near = nearest(value, choices)
    question = f"did you mean {quote(near)}? Else " if near else ""
    raise Mistake("{} is no number of instances", f'{question}write a whole number, "per_node" or "per_slot"', value)


def size(value: Any) -> int:
    """``size("4g") == 4294967296``: bytes."""
    if not isinstance(value, str):
        return int(value)
    try:
        size_bytes = parse_size(value) if len(value) <= 20 and value.isascii() else None
    except (ValueError, OverflowError):
        size_bytes = None
    if size_bytes is None:
        raise Mistake("{} is no size", 'write a number and one of b, k, m, g, t, as in "4g"', value)
    if not 0 < size_bytes <= LARGEST_BYTES:
        raise Mistake("{} is not between 1 byte and 1024t", 'write for example "4g"', value)
    return size_bytes


def memory(value: Any) -> int:
    """As ``size``, but at least 6 MiB."""
    size_bytes = size(value)
    if size_bytes < SMALLEST_MEMORY_BYTES:
        raise Mistake("{} is too little memory to start anything", 'write at least "6m"', str(value))
    return size_bytes


def words(value: Any) -> tuple[str, ...] | None:
    """``words(["ls", "-l"]) == ("ls", "-l")``; None for an empty list, which leaves the image's own."""
    if value and not value[0]:
        raise Mistake("the first word, the program, is empty", 'write for example ["python", "-u", "/job.py"]')
    return tuple(value) or None


def host_name(value: Any) -> str:
    """The name of a container: a DNS label that no resolver takes for an address."""
    text = str(value)
    if not _HOST_NAME.fullmatch(text):
        if not text:
            raise Mistake("the name is empty", 'write for example "worker"')
        fault = "an underscore" if "_" in text else "a character that no host name may have"
        if text[0] == "-" or text[-1] == "-":
            fault = "a hyphen at its beginning or end"
        raise Mistake(f"{{}} has {fault}", "use letters, digits, and hyphens between them", text)
    if len(text) > _LONGEST_HOST_NAME:
        raise Mistake(f"the name is longer than the {_LONGEST_HOST_NAME} characters of a host name", "shorten it")
    if _READ_AS_ADDRESS.fullmatch(text) or text.lower() == "localhost":
        raise Mistake("{} as a host name means an address of its own", 'choose another, such as "worker"', text)
    return text


def run_name(value: Any) -> str:
    """The name of the run: anything that can be read."""
    if not value.strip():
        raise Mistake("the name is blank", "leave it out, or choose one")
    return str(value)


def link(value: Any) -> Link:
    """``link("database:DB_HOST") == Link("database", "DB_HOST")``."""
    container, colon, variable = value.partition(":")
    if not colon or not container or not variable:
        raise Mistake("{} is no link", 'write "CONTAINER:VARIABLE", as in "database:DB_HOST"', value)
    return Link(container, check_name(variable))


def tag(value: Any) -> str:
    """``tag("tag=workers") == "workers"``."""
    name = value.removeprefix("tag=")
    if name == value:
        raise Mistake("{} is no tag", f'write "tag={_word(value)}"', value)
    if not name.strip():
        raise Mistake('there is no name after "tag="', 'write for example "tag=workers"')
    return str(name)


def _word(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", text) else "workers"


def ready(value: Any) -> Ready:
    """``ready({"tcp": 22}) == Ready(tcp=22)``."""
    return Ready(
        tcp=whole(value["tcp"]) if "tcp" in value else None,
        command=words(value["command"]) if "command" in value else None,
        log=value.get("log"),
        timeout_s=number(value.get("timeout_s", READY_TIMEOUT_S)),
    )


def stop_signal(value: Any) -> str:
    """``stop_signal("INT") == "SIGINT"``: signals by name."""
    name = value.upper().removeprefix("SIG")
    if name in _SIGNALS or _REALTIME.fullmatch(name):
        return f"SIG{name}"
    near = nearest(name, _SIGNALS)
    remedy = f'did you mean "SIG{near}"?' if near else 'write the name of a signal, as in "SIGINT"'
    raise Mistake("{} is no signal", remedy, value)
