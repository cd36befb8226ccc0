"""Texts of the library in the words of who typed a command: options for arguments, paths for frames.

The library says ``left_on=``, and whoever typed a command has ``--left-on``.

Covers: messages, hints and plans as commands print them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import click

_SETTING = "the setting safeframe.staging.directory"
_SAME_AS = {"n_workers": "workers", "memory_limit": "memory", "threads_per_worker": "threads"}
"""Arguments of clusters, and options that are the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """How a command calls what the library calls by the names of Python.

    Examples
    --------
    >>> said = Wording(options={"left_on": "--left-on"}, flags=frozenset(), frames={"left": "orders/"})
    >>> said("left has no column 'itme'. Use left_on=.")
    "'orders/' has no column 'itme'. Use --left-on."
    """

    options: Mapping[str, str] = field(default_factory=dict)
    """The option of each argument."""
    flags: frozenset[str] = frozenset()
    """Arguments whose options have no value."""
    frames: Mapping[str, str] = field(default_factory=dict)
    """The path of each frame, by the name that messages have for it."""

    def __call__(self, text: str) -> str:
        """Return a text in the command's words."""
        # All columns of files are columns here, so that no index is a key.
        text = re.sub(r", nor is (left|right)_index=", "", text)
        for name, option in self.options.items():
            shown = re.escape(name)
            if name in self.flags:
                text = re.sub(rf"(?<![\w.'-]){shown}=(True)?(?!\w)", option, text)
            else:
                # With a value it stays one word, as a shell takes it.
                text = re.sub(rf"(?<![\w.'-]){shown}=(?=['\"\w])", f"{option}=", text)
                text = re.sub(rf"(?<![\w.'-]){shown}=", option, text)
        for name, path in self.frames.items():
            # "the left side" is said of a merge, and stays.
            pattern = (
                r"(?<![\w.'-])ddf(?!\w|\.\w|=|\()"
                if name == "ddf"
                else rf"(?:^|(?<=key of )){name}(?= (?:has|is) )"
            )
            text = re.sub(pattern, lambda _, path=path: repr(path), text)  # type: ignore[misc]
        return text


def wording_of(context: click.Context | None, frames: Mapping[str, str]) -> Wording:
    """Return the words of a command that runs.

    Parameters
    ----------
    context
        Of the command; None outside of one.
    frames
        The path of each frame, by the name that messages have for it.
    """
    if context is None:
        return Wording(frames=frames)
    given = [one for one in context.command.params if isinstance(one, click.Option) and one.name]
    options = {str(one.name): max(one.opts, key=len) for one in given}
    flags = frozenset(str(one.name) for one in given if one.is_flag)
    same = {name: options[other] for name, other in _SAME_AS.items() if other in options}
    own = "local_directory" in options and context.params.get("scheduler") is None
    staging = {"staging": options["local_directory"] if own else _SETTING}
    return Wording(options=staging | same | options, flags=flags, frames=frames)
