"""What commands print, as text or as one JSON document, and the code that they end with.

Covers: exit codes, errors, warnings.
Does not cover: progress, which goes to standard error.
"""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar

import click
import numpy as np
import pyarrow as pa
from distributed.scheduler import KilledWorker
from rich.console import Console, RenderableType
from rich.text import Text

from safeframe.cli.wording import Wording, wording_of
from safeframe.errors import (
    KeyNotFoundError,
    MemoryBudgetError,
    OutputTooLargeError,
    SafeframeError,
    SafeframeWarning,
    SchemaMismatchError,
    StagingFullError,
    UnsupportedError,
    ValidationError,
)

_Command = TypeVar("_Command", bound=Callable[..., Any])


class ExitCode(IntEnum):
    """What a command ended with."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DOES_NOT_FIT = 3

    @property
    def meaning(self) -> str:
        """What it means, for the help."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: "done; doctor: no problem, warnings at most",
    ExitCode.FAILED: "failed while running, or interrupted; doctor: problems",
    ExitCode.USAGE: "refused before the run: arguments, paths, columns, settings",
    ExitCode.DOES_NOT_FIT: "refused before the run: memory of a worker, free disk, --max-output",
}
_WRONG = (ValidationError, KeyNotFoundError, SchemaMismatchError, UnsupportedError)
_TOO_LARGE = (MemoryBudgetError, OutputTooLargeError, StagingFullError)
_EXPECTED = (SafeframeError, click.ClickException, KilledWorker, OSError, pa.ArrowException)
"""What is no defect of safeframe: shown without a traceback."""


_AS_IT_IS = Wording()


class Failure(click.ClickException):
    """An error as a message, with an exit code."""

    def __init__(self, error: Exception, *, running: bool, typed: Wording = _AS_IT_IS) -> None:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        super().__init__(typed(text))
        self.error = error
        self.typed = typed
        self.exit_code = _exit_code(error, running=running)  # type: ignore[misc]  # click reads it of the instance

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        error, name = self.error, type(self.error).__name__
        if isinstance(error, SafeframeError):
            told = {
                "message": self.typed(error.message),
                "hint": self.typed(error.hint),
                "figures": error.figures,
            }
        else:
            told = {"message": self.message, "hint": "", "figures": {}}
        return {"type": name, **told, "exit_code": int(self.exit_code)}


def _exit_code(error: Exception, *, running: bool) -> int:
    if isinstance(error, _TOO_LARGE) and not running:
        return ExitCode.DOES_NOT_FIT
    if isinstance(error, _WRONG) and not running:
        return ExitCode.USAGE
    return error.exit_code if isinstance(error, click.ClickException) else ExitCode.FAILED


@dataclass(kw_only=True)
class Output:
    """Where a command prints to."""

    as_json: bool
    """Whether text is left out, and ``document`` printed instead."""
    console: Console
    """Standard output; standard error where the document is printed there."""
    document: dict[str, Any] = field(default_factory=dict)
    """What is printed as JSON when the command ends."""
    running: bool = False
    """Whether the work itself has begun: what is refused then is a failure."""
    typed: Wording = field(default_factory=Wording)
    """Says texts of the library in the command's words."""
    began: float = field(default_factory=time.perf_counter)
    """When the command began, by the process's clock."""

    @property
    def seconds(self) -> float:
        """How long ago the command began."""
        return time.perf_counter() - self.began

    def say(self, text: str = "") -> None:
        """Print lines of text as they are: nothing in them is wrapped or cut."""
        self.show(Text(text))

    def show(self, renderable: RenderableType) -> None:
        """Print text or a table."""
        if not self.as_json:
            self.console.print(renderable, soft_wrap=isinstance(renderable, Text))

    def warn(self, message: str) -> None:
        """Print a warning to standard error, and keep it for the document."""
        message = self.typed(message)
        self.document.setdefault("warnings", []).append(message)
        click.echo(f"Warning: {message}", err=True)


@contextmanager
def output(command: str, *, as_json: bool, frames: Mapping[str, str] | None = None) -> Iterator[Output]:
    """Print what a command says, and end it with an error's exit code.

    Parameters
    ----------
    command
        Its name, for the document.
    as_json
        Whether to print one JSON document.
    frames
        The path of each frame, by the name that messages of the library have for it.

    Raises
    ------
    Failure
        In place of errors that are no defect.
    """
    out = Output(
        as_json=as_json,
        console=_console(stderr=as_json),
        document={"command": command},
        typed=wording_of(click.get_current_context(silent=True), frames or {}),
    )
    try:
        with _warnings_in(out):
            yield out
    except _EXPECTED as error:
        failure = Failure(error, running=out.running, typed=out.typed)
        out.document["error"] = failure.to_dict()
        _print_document(out)
        raise failure from error
    _print_document(out)


def print_usage_error(error: click.UsageError) -> None:
    """Print the document of a command whose arguments are wrong."""
    command = error.ctx.info_name if error.ctx is not None else None
    failure = Failure(error, running=False)
    click.echo(to_json({"command": command, "error": failure.to_dict()}))


def json_option(command: _Command) -> _Command:
    """Add ``--json`` to a command."""
    option = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document to standard output, and no text."
    )
    return option(command)


def to_json(document: Mapping[str, Any]) -> str:
    """Return JSON that every parser reads: no NaN, and values without a type in JSON as text."""
    return json.dumps(_plain(document), indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(below) for key, below in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)


def _print_document(out: Output) -> None:
    if out.as_json:
        click.echo(to_json(out.document))


@contextmanager
def _warnings_in(out: Output) -> Iterator[None]:
    """Print the library's warnings as text, without the line of code that they come from."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def told(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, SafeframeWarning):
                out.warn(str(message))
            else:
                show(message, category, *where, **more)

        warnings.simplefilter("always", SafeframeWarning)
        warnings.showwarning = told
        yield


_ENDLESS = 10_000
"""Characters of a line where nobody sees its end: in a file or a pipe nothing is wrapped."""


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _ENDLESS)
