# SPDX-License-Identifier: Apache-2.0
"""Groups of commands: each command is imported when it is called, and help lists them by workflow.

A group knows of a command its name, where it lives and one line of help, so that ``--help``, and
the completion of a shell, import none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click

__all__ = ["Sections", "WorkflowGroup"]

Sections = Mapping[str, Mapping[str, str]]
"""Title of a section of help -> its commands, in order -> one line of each."""


class WorkflowGroup(click.Group):
    """A group whose commands lie in files of their names beside this one.

    Parameters
    ----------
    sections : mapping of str to mapping of str to str
        See `Sections`.
    module : str, optional
        The file in which all commands are, as functions of their names; by default each has its
        own.
    **attributes
        Of `click.Group`.
    """

    def __init__(
        self, *args: object, sections: Sections, module: str | None = None, **attributes: object
    ) -> None:
        super().__init__(*args, **attributes)  # type: ignore[arg-type]
        self.sections, self._module = sections, module

    def list_commands(self, ctx: click.Context | None = None) -> list[str]:
        """Return the names of the commands, in the order of help."""
        return [name for commands in self.sections.values() for name in commands]

    def get_command(self, ctx: click.Context | None, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none of this name."""
        if cmd_name not in self.list_commands():
            return None
        home = import_module(f".{self._module or cmd_name}", __package__)
        command = getattr(home, cmd_name)
        assert isinstance(command, click.Command), cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section with all words of its lines; click would cut them."""
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))
