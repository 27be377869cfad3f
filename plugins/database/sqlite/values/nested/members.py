"""Operations on stored ``jsonb`` documents: members, paths, containment and change."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.nested.documents import compact, decode, write_jsonb

_encode = msgspec.json.Encoder().encode
_MISSING = object()


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if type(value) is str:
        return "string"
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else "number"


def type_of(document: str | None) -> str | None:
    """Return the kind of a document: ``object``, ``array``, ``string``, ``number``, ``boolean`` or ``null``."""
    return None if document is None else _kind(decode(document))


def _place(key: str) -> int | None:
    """Return the index that a path's step is, None where it is none."""
    digits = key.strip().removeprefix("-").removeprefix("+")
    return int(key) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def _step(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return value.get(key, _MISSING)
    place = _place(key) if isinstance(value, list) else None
    if place is None or not -len(value) <= place < len(value):
        return _MISSING
    return value[place]


def at(document: str | None, path: str | None) -> str | None:
    """Return what a path (an array of texts) leads to, NULL for nothing."""
    if document is None or path is None:
        return None
    value = decode(document)
    for key in decode(path):
        value = _MISSING if key is None else _step(value, key)
        if value is _MISSING:
            return None
    return compact(value)


def as_text(document: str | None) -> str | None:
    """Return a ``jsonb`` member's text: a string's content, NULL for null."""
    if document is None or document == "null":
        return None
    if document[:1] == '"':
        return str(decode(document))
    return write_jsonb(document) if document[:1] in "{[" else document


def text_at(document: str | None, path: str | None) -> str | None:
    """Return what a path leads to as text."""
    return as_text(at(document, path))


def contains(left: str | None, right: str | None) -> int | None:
    """Tell whether one document holds another: its members, its elements in any order, or an equal value."""
    if left is None or right is None:
        return None
    one, other = decode(left), decode(right)
    if isinstance(one, list) and not isinstance(other, (dict, list)):
        return int(any(_equal(item, other) for item in one))
    return int(_holds(one, other))


def _holds(one: Any, other: Any) -> bool:
    if isinstance(other, dict):
        return isinstance(one, dict) and all(key in one and _holds(one[key], other[key]) for key in other)
    if isinstance(other, list):
        return isinstance(one, list) and all(any(_holds(item, wanted) for item in one) for wanted in other)
    return _equal(one, other)


def _equal(one: Any, other: Any) -> bool:
    if _kind(one) != _kind(other):
        return False
    if _kind(one) == "number":
        return Decimal(compact(one)) == Decimal(compact(other))
    return bool(one == other)


def has(document: str | None, key: str | None) -> int | None:
    """Tell whether a text is a member's name, or a string among an array's elements, or the string itself."""
    return None if document is None or key is None else int(key in _names(document))


def _names(document: str) -> set[str]:
    value = decode(document)
    found = value if isinstance(value, (dict, list)) else [value]
    return {item for item in found if type(item) is str}


def has_any(document: str | None, keys: str | None) -> int | None:
    """Tell whether one of several texts is there, as `has` does."""
    if document is None or keys is None:
        return None
    return int(not _names(document).isdisjoint(decode(keys)))


def has_all(document: str | None, keys: str | None) -> int | None:
    """Tell whether all of several texts are there, as `has` does."""
    if document is None or keys is None:
        return None
    return int(_names(document).issuperset(key for key in decode(keys) if key is not None))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def concatenate(left: str | None, right: str | None) -> str | None:
    """Return two objects' members together, or one array's elements behind the other's."""
    if left is None or right is None:
        return None
    one, other = decode(left), decode(right)
    if isinstance(one, dict) and isinstance(other, dict):
        return compact({**one, **other})
    return compact(_as_list(one) + _as_list(other))


def _no_scalar(value: Any, action: str) -> None:
    if not isinstance(value, (dict, list)):
        raise DatabaseError(f"cannot {action} scalar", sqlstate="22023")


def without(document: str | None, keys: str | None) -> str | None:
    """Return a document without the members of some names, given as an array, or an array without those strings."""
    if document is None or keys is None:
        return None
    value, gone = decode(document), {key for key in decode(keys) if key is not None}
    _no_scalar(value, "delete from")
    if isinstance(value, dict):
        return compact({key: item for key, item in value.items() if key not in gone})
    return compact([item for item in value if type(item) is not str or item not in gone])


def without_key(document: str | None, key: str | None) -> str | None:
    """Return a document without the member of a name."""
    return None if key is None else without(document, _encode([key]).decode())


def without_element(document: str | None, place: int | None) -> str | None:
    """Return an array without the element at a place, counted from zero, or from the end where negative."""
    if document is None or place is None:
        return None
    value = decode(document)
    if isinstance(value, dict):
        raise DatabaseError("cannot delete from object using integer index", sqlstate="22023")
    _no_scalar(value, "delete from")
    if -len(value) <= place < len(value):
        del value[place]
    return compact(value)


def _changed(document: str, path: str, change: Callable[[Any, str], None], action: str) -> str:
    """Return a document after `change` was made where a path's last step is; nothing where the way there ends."""
    value = decode(document)
    _no_scalar(value, action)
    steps = decode(path)
    for number, key in enumerate(steps, 1):
        if key is None:
            raise DatabaseError(f"path element at position {number} is null", sqlstate="22004")
    if not steps:
        return compact(value)
    target = value
    for number, key in enumerate(steps[:-1], 1):
        _check_place(target, key, number)
        target = _step(target, key)
        if not isinstance(target, (dict, list)):
            return compact(value)
    _check_place(target, steps[-1], len(steps))
    change(target, steps[-1])
    return compact(value)


def _check_place(target: Any, key: str, number: int) -> None:
    if isinstance(target, list) and _place(key) is None:
        message = f'path element at position {number} is not an integer: "{key}"'
        raise DatabaseError(message, sqlstate="22P02")


def without_path(document: str | None, path: str | None) -> str | None:
    """Return a document without what a path leads to."""
    if document is None or path is None:
        return None

    def delete(target: Any, key: str) -> None:
        if _step(target, key) is not _MISSING:
            del target[key if isinstance(target, dict) else int(key)]

    return _changed(document, path, delete, "delete path in")


def put(document: str | None, path: str | None, new: str | None, create: int | None = 1) -> str | None:
    """Return a document with what a path leads to replaced, or made where only its last step is missing."""
    if document is None or path is None or new is None or create is None:
        return None
    fresh = decode(new)

    def place(target: Any, key: str) -> None:
        if _step(target, key) is not _MISSING:
            target[key if isinstance(target, dict) else int(key)] = fresh
        elif create and isinstance(target, dict):
            target[key] = fresh
        elif create:
            target.insert(0 if int(key) < 0 else len(target), fresh)

    return _changed(document, path, place, "set path in")


def insert(document: str | None, path: str | None, new: str | None, after: int | None = 0) -> str | None:
    """Return ``jsonb_insert``: a document with a new member, or a new element before or after a place."""
    if document is None or path is None or new is None or after is None:
        return None
    fresh = decode(new)

    def place(target: Any, key: str) -> None:
        if isinstance(target, dict):
            if key in target:
                raise DatabaseError("cannot replace existing key", sqlstate="22023")
            target[key] = fresh
            return
        index = int(key)
        found = index + len(target) if index < 0 else index
        target.insert(max(found + bool(after), 0), fresh)

    return _changed(document, path, place, "set path in")


def strip_nulls(document: str | None) -> str | None:
    """Return a document without members that are null, at any depth."""
    return None if document is None else compact(_stripped(decode(document)))


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stripped(item) for key, item in value.items() if item is not None}
    return [_stripped(item) for item in value] if isinstance(value, list) else value


def pretty(document: str | None) -> str | None:
    """Return a document's text with a line to each member, as ``jsonb_pretty`` lays it out."""
    return None if document is None else _pretty(decode(document), "")


def _pretty(value: Any, indent: str) -> str:
    if not isinstance(value, (dict, list)):
        return compact(value)
    inner = indent + "    "
    if isinstance(value, list):
        lines, (opened, closed) = [f"{inner}{_pretty(item, inner)}" for item in value], "[]"
    else:
        ordered = decode(compact(value))
        lines = [f"{inner}{compact(key)}: {_pretty(item, inner)}" for key, item in ordered.items()]
        opened, closed = "{}"
    body = "".join(f"{line},\n" for line in lines)[:-2] + "\n" if lines else ""
    return f"{opened}\n{body}{indent}{closed}"


def _array(document: str, action: str) -> list[Any]:
    value = decode(document)
    if isinstance(value, list):
        return value
    kind = "an object" if isinstance(value, dict) else "a scalar"
    raise DatabaseError(f"cannot {action} {kind}", sqlstate="22023")


def array_length(document: str | None) -> int | None:
    """Return how many elements an array has; raises 22023 for what is none."""
    if document is None:
        return None
    value = decode(document)
    if not isinstance(value, list):
        what = "a non-array" if isinstance(value, dict) else "a scalar"
        raise DatabaseError(f"cannot get array length of {what}", sqlstate="22023")
    return len(value)


def elements(document: str | None) -> str | None:
    """Return an array's elements, each as its own document's text."""
    if document is None:
        return None
    return _encode([compact(item) for item in _array(document, "extract elements from")]).decode()


def objects(document: str | None, name: str) -> str | None:
    """Return an array's objects, each as its own document's text; raises 22023 for other elements."""
    if document is None:
        return None
    found = _array(document, f"call {name} on")
    if not all(isinstance(item, dict) for item in found):
        raise DatabaseError(f"argument of {name} must be an array of objects", sqlstate="22023")
    return _encode([compact(item) for item in found]).decode()


def element_texts(document: str | None) -> str | None:
    """Return an array's elements as texts."""
    if document is None:
        return None
    found = _array(document, "extract elements from")
    return _encode([as_text(compact(item)) for item in found]).decode()


def _object(document: str, message: str) -> dict[str, Any]:
    value = decode(document)
    if not isinstance(value, dict):
        what = "an array" if isinstance(value, list) else "a scalar"
        raise DatabaseError(message.format(what), sqlstate="22023")
    return value


def as_elements(document: str | None) -> str | None:
    """Return an object's text as the one element of an array; raises 22023 for what is no object."""
    if document is None:
        return None
    return _encode([compact(_object(document, "cannot call populate_composite on {}"))]).decode()


def keys(document: str | None) -> str | None:
    """Return the names of an object's members."""
    if document is None:
        return None
    return _encode(list(_object(document, "cannot call jsonb_object_keys on {}"))).decode()


def members(document: str | None, name: str) -> str | None:
    """Return an object's members, each as its name and its document's text."""
    if document is None:
        return None
    value = _object(document, f"cannot call {name} on a non-object")
    return _encode([[key, compact(item)] for key, item in value.items()]).decode()


def member_texts(document: str | None, name: str) -> str | None:
    """Return an object's members, each as its name and its text."""
    if document is None:
        return None
    value = _object(document, f"cannot call {name} on a non-object")
    return _encode([[key, as_text(compact(item))] for key, item in value.items()]).decode()


def only(array: str) -> str | None:
    """Return the document that is an array's one element, NULL for null."""
    (item,) = decode(array)
    return None if item is None else compact(item)


def filled(array: str | None) -> str | None:
    """Return a document, NULL for one without members or elements: an aggregate over no rows."""
    return None if array in ("[]", "{}") else array


def object_key(key: str | None, place: int | None = None) -> str:
    """Return a member's name; raises 22023 for NULL."""
    if key is None:
        where = "field name must not be null" if place is None else f"argument {place}: key must not be null"
        raise DatabaseError(where, sqlstate="22023")
    return key
