"""``kernel doctor``: what is wrong with this machine and project, and what to do about it."""

from __future__ import annotations

import sys

import click

from kernel.cli import output
from kernel.cli.base import Command, Project, json_option, pass_project

_SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


@click.command(cls=Command, examples=("kernel doctor", "kernel doctor --json"))
@json_option
@pass_project
def doctor(project: Project, as_json: bool) -> None:
    """Examine Python, the settings, the plugins, the data folder, the port, the database, the disk and the clock.

    Each finding comes with what to do about it. Nothing is changed: no migration is applied, no folder made. The
    exit code is 1 if something keeps the server from running, and 0 if there are warnings only.
    """
    from kernel.cli.examination import examine

    found = []
    as_json = output.wants_json(as_json)
    for finding in examine(project):
        found.append(finding)
        if not as_json:
            sign, colour = _SIGNS[finding.state]
            output.say(f"{output.styled(sign, fg=colour, bold=True)} {finding.about:<12} {finding.text}")
            if finding.remedy:
                output.say(f"{'':15}{output.styled('→ ' + finding.remedy, fg=colour)}")
    if as_json:
        output.json(found)
    sys.exit(1 if any(finding.state == "problem" for finding in found) else 0)
