"""``python -m tests.versions.canary``: which of dask's names that safeframe uses are gone, or are called otherwise.

An ImportError names the first one and ends the run; this names all, with the line of safeframe that uses each.
What a function takes is compared with ``names.json``, which ``--record`` writes by the dask that is installed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.versions.floors import ROOT
from tests.versions.shapes import differences, has, shape
from tests.versions.uses import HELD, Use, used

RECORD = Path(__file__).with_name("names.json")

_SHOWN_LENGTH = 200


def findings(record: dict[str, Any]) -> list[str]:
    """Return what is not as it was recorded, a sentence each."""
    uses = used()
    found = [text for use in uses for text in _of_use(use, record["shapes"])]
    for owner, names in held(record).items():
        found.extend(_of_held(owner, names, record["shapes"]))
    return found


def held(record: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return attributes of dask's classes: those that are read, and those that classes of safeframe define."""
    return {
        owner: tuple(dict.fromkeys((*HELD.get(owner, ()), *record["defined"].get(owner, ()))))
        for owner in (*HELD, *(one for one in record["defined"] if one not in HELD))
    }


def recorded() -> dict[str, Any]:
    """Return what the installed dask has: for the file that later ones are compared with."""
    record: dict[str, Any] = {"defined": defined(), "shapes": {}}
    paths = {use.path: (use.owner, use.name) for use in used() if use.name}
    paths |= {f"{owner}.{name}": (owner, name) for owner, names in held(record).items() for name in names}
    for path, (owner, name) in sorted(paths.items()):
        text = shape(getattr(_resolved(owner), name, None))
        if text is not None:
            record["shapes"][path] = text
    return record


def defined() -> dict[str, list[str]]:
    """Return what classes of safeframe define of what dask's classes have, by the class of dask's that has it first.

    dask calls these; under another name it would call its own, and nothing would fail.
    """
    import pkgutil

    import safeframe
    from safeframe._dask.expressions import Expr

    for module in pkgutil.walk_packages(safeframe.__path__, "safeframe."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: dict[str, set[str]] = {}
    waiting = [Expr]
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        if not kind.__module__.startswith("safeframe."):
            continue
        bases = [base for base in kind.__mro__ if base.__module__.partition(".")[0] == "dask"]
        for name in vars(kind):
            having = [base for base in bases if name in vars(base)]
            # Python's names, and what dask keeps of each class while it runs.
            if having and not name.startswith("__") and name != "_instances":
                first = having[-1]
                found.setdefault(f"{first.__module__}.{first.__qualname__}", set()).add(name)
    return {owner: sorted(names) for owner, names in sorted(found.items())}


def _of_use(use: Use, shapes: dict[str, str]) -> list[str]:
    try:
        owner = _resolved(use.owner)
    except LookupError as error:
        return [f"{use.path}, which {use.where} uses, is not there: {error}"]
    if not use.name:
        return []
    try:
        value = _member(owner, use.owner, use.name)
    except LookupError as error:
        return [f"{error}; {use.where} uses it{_elsewhere(use.name)}"]
    return _changed(use.path, value, shapes, f"{use.where} uses it")


def _of_held(owner: str, names: Iterable[str], shapes: dict[str, str]) -> list[str]:
    try:
        kind = _resolved(owner)
    except LookupError as error:
        return [f"{owner}, whose objects have {', '.join(names)}, is not there: {error}"]
    found = []
    for name in names:
        path = f"{owner}.{name}"
        if not has(kind, name):
            found.append(
                f"{owner} has no {name} any more; safeframe reads it, or defines it for dask to call"
            )
        else:
            found.extend(_changed(path, getattr(kind, name, None), shapes, "safeframe calls or defines it"))
    return found


def _changed(path: str, value: Any, shapes: dict[str, str], used_by: str) -> list[str]:
    before, now = shapes.get(path), shape(value)
    if before is None or now == before:
        return []
    if now is None:
        return [f"{path} is no more called, but {type(value).__name__}; {used_by}"]
    found = differences(before, now)
    if not found:
        return []
    # Some take thirty arguments, of which the changed ones say enough.
    both = f" (was: {before}; is: {now})" if len(before) + len(now) <= _SHOWN_LENGTH else ""
    return [f"{path} takes something else: {', '.join(found)}{both}; {used_by}"]


def _resolved(path: str) -> Any:
    """Return a module, or what is in one, by its whole name.

    Raises
    ------
    LookupError
        In words.
    """
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if "." not in path:
            msg = f"there is no module {path}"
            raise LookupError(msg) from error
    except ImportError as error:
        msg = f"importing {path} fails: {error}"
        raise LookupError(msg) from error
    owner, _, name = path.rpartition(".")
    return _member(_resolved(owner), owner, name)


def _member(owner: Any, path: str, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        pass
    if isinstance(owner, ModuleType):
        try:
            return importlib.import_module(f"{path}.{name}")
        except ImportError:
            msg = f"the module {path} has no {name}"
            raise LookupError(msg) from None
    msg = f"{path} has no {name}"
    raise LookupError(msg)


def _elsewhere(name: str) -> str:
    """Return where dask has something of that name, of what is loaded."""
    places = sorted(
        module
        for module, value in list(sys.modules.items())
        if module.partition(".")[0] in ("dask", "distributed") and name in vars(value)
    )
    return f", and {', '.join(places[:3])} has one of that name" if places else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Compare; 0 when all is as it was."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.versions.canary", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--json", action="store_true", help="the findings as a list")
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.relative_to(ROOT)} anew")
    options = parser.parse_args(argv)
    if options.record:
        RECORD.write_text(json.dumps(recorded(), indent=1) + "\n", encoding="utf-8")
        return 0
    found = findings(json.loads(RECORD.read_text(encoding="utf-8")))
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        versions = " and ".join(
            f"{name} {importlib.metadata.version(name)}" for name in ("dask", "distributed")
        )
        last = f"{versions}: {len(used())} names and what is read of {len(HELD)} classes, {len(found)} of them not as they were"
        sys.stdout.write("\n".join([*found, last]) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
