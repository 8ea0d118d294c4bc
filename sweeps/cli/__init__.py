"""The command line: one file a command. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import importlib
import keyword
import re
import sys
import traceback

import click

from results.errors import ResultsError
from runner.errors import INTERRUPTED, UserError

# command -> module of this package; the order of the help
_COMMANDS = {
    "start": "start",
    "check": "check",
    "plan": "plan",
    "status": "status",
    "stop": "stop",
    "rank": "rank",
    "compare": "compare",
    "confirm": "confirm",
    "report": "report",
    "campaign": "campaign",
    "best": "best",
    "import": "imports",
    "trials": "trials",
    "logs": "logs",
    "pause": "pause",
    "resume": "pause",
    "serve": "serve",
    "worker": "worker",
    "workers": "workers",
    "data": "data",
    "catalog": "catalog",
    "dashboard": "dashboard",
    "doctor": "doctor",
}

# lines that name a line of a file stand alone, as compilers print them
_PLACE = re.compile(r".*?:\d+:\d+: |\S+:\d+: ")


class _Commands(click.Group):
    """Loads a command's module when the command is named; turns a user's mistake into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"sweeps.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name)
        _common_options(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from sweeps.space.problems import nearest

            raise click.UsageError(f"there is no command {args[0]}; {nearest(args[0], _COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)


def _common_options(command: click.Command) -> None:
    """Every command takes --storage, --study and --debug; where the first two mean nothing they are not shown."""
    if isinstance(command, click.Group):
        for child in command.commands.values():
            _common_options(child)
        return
    known = {parameter.name for parameter in command.params}
    for name in ("storage", "study"):
        if name not in known:
            unused = click.Option([f"--{name}"], expose_value=False, hidden=True, help="Means nothing here.")
            command.params.append(unused)
    if "debug" not in known:
        command.params.append(click.Option(["--debug"], is_flag=True, expose_value=False, help="Show tracebacks."))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="sweep", prog_name="sweep")
def cli() -> None:
    """Find the best MMDetection config for your images, and hand it back.

    \b
    Examples:
      sweep start search_spaces/optimizers.yaml --data my_data.yaml
      sweep rank
      sweep best --export config
    """


def main(arguments: list[str] | None = None) -> int:
    """Runs a command line; returns its exit code: 0 done, 1 a mistake, 2 wrong usage, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    stdout = sys.stdout
    try:
        code = cli.main(arguments, prog_name="sweep", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.UsageError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SystemExit:  # click ends so where a pipe was closed, with streams that say nothing about it any more
        if sys.stdout is not stdout:
            return 0
        raise
    except BrokenPipeError:  # the reader has seen enough
        sys.stderr.close()
        return 0
    except (UserError, ResultsError) as error:
        if "--debug" in arguments:
            traceback.print_exc()
        lines = str(error).splitlines()
        click.echo("\n".join(lines) if len(lines) > 1 or _PLACE.match(lines[0]) else f"sweep: {lines[0]}", err=True)
        return 1
    except Exception as error:  # noqa: BLE001  our own mistake: say so, in one line
        if "--debug" in arguments:
            traceback.print_exc()
        click.echo(f"sweep: this should not happen: {type(error).__name__}: {error}; --debug shows where", err=True)
        return 1
