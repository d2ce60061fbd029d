# SPDX-License-Identifier: Apache-2.0
"""One convention of every command: what takes one value is given once.

click keeps the last of several values and drops the others without a word. Here an option that
takes one value and is there twice is refused. Options that take several (``--freeze``, ``--train``,
``--head``, ``--set``) obey every one of them; a flag says nothing new the second time.
"""

from __future__ import annotations

import click

__all__ = ["OnceCommand"]


class OnceCommand(click.Command):
    """A command that refuses an option of one value that is given twice."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, see click; UsageError if an option of one value is there twice."""
        given: list[click.Parameter] = self.make_parser(ctx).parse_args(list(args))[2]
        single = [one for one in given if isinstance(one, click.Option) and _takes_one(one)]
        for option in single:
            if single.count(option) > 1:
                name = max(option.opts, key=len)
                raise click.UsageError(
                    f"expected {name} once; found it {single.count(option)} times; leave one "
                    f"of them{_INSTEAD.get(name, '')}",
                    ctx,
                )
        return super().parse_args(ctx, args)


def _takes_one(option: click.Option) -> bool:
    return not option.multiple and not option.is_flag and not option.count


_INSTEAD = {
    "--mode": " (one mode may have several parts: A,!B; mtfreeze compare takes several modes)",
}
"""What else a second one may have been meant for."""
