"""The decorator of the classes that only hold values."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, cast, dataclass_transform

_Record = TypeVar("_Record")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[_Record]) -> type[_Record]:
    """``dataclass(frozen=True, slots=True)`` in a third of the time, of which a start would have 25 ms otherwise.

    That writes and compiles six methods for each class; this one only ``__init__``, and all share the others. That a
    record is not changed is the type checker's to find, which also makes one sooner. A class with an ``__eq__`` of its
    own needs a ``__hash__`` of its own, too.
    """
    cls.__doc__ = cls.__doc__ or cls.__name__  # else dataclass makes one up from the signature, which takes as long
    made: Any = dataclass(repr=False, eq=False, slots=True)(cls)
    compared = [one.name for one in fields(made) if one.compare]
    made._compared = attrgetter(*compared or ("__class__",))
    for name, method in (("__repr__", _repr), ("__eq__", _eq), ("__hash__", _hash)):
        if name not in vars(cls):
            setattr(made, name, method)
    return cast(type[_Record], made)


def _repr(self: Any) -> str:
    values = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(values)})"


def _eq(self: Any, other: Any) -> bool:
    if type(other) is not type(self):
        return NotImplemented  # type: ignore[no-any-return]  # which mypy takes for any value outside of __eq__
    return bool(self._compared(self) == self._compared(other))


def _hash(self: Any) -> int:
    return hash(self._compared(self))
