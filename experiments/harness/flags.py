"""Flags, help, the canonical hash and the whole `main` of an experiment, from one
typed frozen dataclass.

Field types are int, float, str, bool, tuples of any number of the first three, and each
of these but bool `| None`, which is typed as "none".
"""

import dataclasses
import difflib
import hashlib
import json
import os
import shlex
import sys
import textwrap
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from absl import flags as absl_flags

from cnnlab.errors import UserError
from experiments.harness import flag_values
from experiments.harness.interrupts import prompt_interrupt

Config = TypeVar("Config")

_HELP = ("-h", "-help", "--help", "--helpshort", "--helpfull")


def field(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] | None = None,
    identity: bool = True,
    repeated: bool = True,
    words: bool = False,
) -> Any:
    """A dataclass field that becomes a flag.

    `help` names the unit. `choices` are the strings allowed, for a list those allowed
    as items. `identity=False` marks what cannot change a result; it stays out of the
    configuration's hash. `repeated=False` marks what belongs to one call alone; it
    stays out of the command that makes the run again. `words=True` marks the list that
    also takes the words of the command line that are no flags.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "identity": identity,
        "repeated": repeated,
        "words": words,
    }
    return dataclasses.field(default=default, metadata=metadata)


def as_json(config: Any, *, identity_only: bool = False) -> dict[str, Any]:
    """The fields of `config` as JSON values, in the order of declaration.

    Equal flags give equal values, however a Python caller wrote them: 1 for 1.0 in a
    float, a list for a tuple.
    """
    annotations = typing.get_type_hints(type(config))
    return {
        item.name: flag_values.as_json(
            getattr(config, item.name), annotations[item.name]
        )
        for item in dataclasses.fields(config)
        if item.metadata["identity"] or not identity_only
    }


def configuration_hash(config: Any) -> str:
    """SHA-256, in hexadecimal, of the experiment's name and its identity fields."""
    content = {"experiment": config.experiment, **as_json(config, identity_only=True)}
    canonical = json.dumps(
        content, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def command_line(config: Any) -> str:
    """The shell command that makes `config`, with only what differs from defaults."""
    words = ["python", "-m", f"experiments.{config.experiment}"]
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if value == item.default or not item.metadata["repeated"]:
            continue
        if isinstance(value, bool):
            words.append(f"--{item.name}" if value else f"--no{item.name}")
        else:
            words.append(f"--{item.name}={flag_values.write(value)}")
    return shlex.join(words)


def parse(
    config_class: type[Config], argv: Sequence[str], *, usage: str | Callable[[], str]
) -> Config:
    """The configuration that `argv`, without the program's name, asks for.

    `usage` is a text, or what gives it when it is wanted. `--help` prints it and every
    flag, and raises `SystemExit(0)`.

    Raises:
      UserError: a flag is unknown, or its value cannot be used.
      UnexpectedArgument: a word is no flag.
    """
    if any(word in _HELP for word in argv):
        text = usage() if callable(usage) else usage
        print(help_text(config_class, text), flush=True)
        raise SystemExit(0)
    values = _define(config_class)
    try:
        leftover = values(["experiment", *argv])[1:]
    except absl_flags.UnrecognizedFlagError as error:
        raise _unknown(error.flagname, list(values)) from None
    except (absl_flags.Error, ValueError) as error:
        # absl rewords what a parser raises, and keeps the original as the context.
        if isinstance(error.__context__, UserError):
            raise error.__context__ from None
        raise _misused(str(error)) from None
    given = {name: values[name].value for name in values if values[name].present}
    if leftover:
        taker = _taker_of_words(config_class)
        if taker is None:
            raise UnexpectedArgument(
                f"unexpected argument '{leftover[0]}'; every option is a flag, "
                "--name=value"
            )
        given[taker] = (*(given.get(taker) or ()), *leftover)
    return checked(config_class(**given))


def checked(config: Config) -> Config:
    """`config` with every value of its field's type, lists as tuples, validated.

    A Python caller's configuration is so held to what the command line is held to.

    Raises:
      UserError: a value of another type, none of the choices, or one that the
        class's own `validate` refuses.
    """
    annotations = typing.get_type_hints(type(config))
    values = {}
    for item in dataclasses.fields(config):
        try:
            values[item.name] = flag_values.checked(
                getattr(config, item.name),
                annotations[item.name],
                item.metadata["choices"],
            )
        except ValueError as error:
            raise UserError(item.name, str(error)) from None
    config = dataclasses.replace(config, **values)
    if hasattr(config, "validate"):
        config.validate()
    return config


def main(
    config_class: type[Config],
    run: Callable[[Config], Any],
    *,
    usage: str | Callable[[], str],
) -> None:
    """Parse `sys.argv`, call `run`, and end as a command-line tool should.

    A `UserError`, wherever it was raised, is one line on stderr and exit code 2; Ctrl-C
    is one line and exit code 130; anything else is a bug and keeps its traceback.
    """
    try:
        # Checking the names loads JAX, which takes long enough to be interrupted.
        with prompt_interrupt():
            config = parse(config_class, sys.argv[1:], usage=usage)
        overwrite = getattr(config, "overwrite", False)
        same = "the same command" + (" without --overwrite" if overwrite else "")
        with prompt_interrupt(line=f"interrupted; {same} goes on from what is stored"):
            run(config)
            sys.stdout.flush()
    except BrokenPipeError:
        # Who read what is printed has gone, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except UserError as error:
        end(f"--{error}", 2)
    except UnexpectedArgument as error:
        end(str(error), 2)


class UnexpectedArgument(ValueError):
    """A word on the command line that belongs to no flag."""


def help_text(config_class: type, usage: str) -> str:
    """`usage`, then each flag with its type, meaning, choices and default."""
    annotations = typing.get_type_hints(config_class)
    blocks = [textwrap.dedent(usage).strip(), "Flags:"]
    for item in dataclasses.fields(config_class):
        annotation = annotations[item.name]
        if annotation is bool:
            head = f"--[no]{item.name}"
        else:
            head = f"--{item.name}={flag_values.noun(annotation)}"
        text = item.metadata["help"].rstrip(".") + "."
        text = text[0].upper() + text[1:]
        if item.metadata["choices"]:
            text += f" One of {', '.join(item.metadata['choices'])}."
        text += f" Default: {flag_values.write(item.default)}."
        paragraph = textwrap.fill(
            text,
            width=79,
            initial_indent=" " * 6,
            subsequent_indent=" " * 6,
            break_on_hyphens=False,
        )
        blocks.append(f"  {head}\n{paragraph}")
    return "\n\n".join(blocks)


def _taker_of_words(config_class: type) -> str | None:
    """The field that takes the words that are no flags."""
    for item in dataclasses.fields(config_class):
        if item.metadata["words"]:
            return item.name
    return None


def _define(config_class: type) -> absl_flags.FlagValues:
    values = absl_flags.FlagValues()
    values.set_gnu_getopt()
    annotations = typing.get_type_hints(config_class)
    for item in dataclasses.fields(config_class):
        flag = absl_flags.Flag(
            _Parser(item.name, annotations[item.name], item.metadata["choices"]),
            None,
            item.name,
            # The dataclass holds the default: only what was typed is taken from here.
            default=None,
            help_string=item.metadata["help"],
            boolean=annotations[item.name] is bool,
        )
        absl_flags.DEFINE_flag(flag, values)
    return values


class _Parser(absl_flags.ArgumentParser):
    def __init__(self, name: str, annotation: Any, choices: tuple[str, ...] | None):
        self._name = name
        self._annotation = annotation
        self._choices = choices

    def parse(self, text: str) -> Any:
        try:
            return flag_values.read(text, self._annotation, self._choices)
        except ValueError as error:
            raise UserError(self._name, str(error)) from None


def _unknown(name: str, known: Sequence[str]) -> UserError:
    advice = "--help lists them"
    for similar in difflib.get_close_matches(name, known, n=1):
        advice = f"did you mean --{similar}?"
    return UserError(name, f"unknown flag; {advice}")


def _misused(absl_message: str) -> UserError:
    """absl's remaining complaints, which name the flag as a word with dashes."""
    words = absl_message.split()
    name = next((word for word in words if word.startswith("-")), "flagfile")
    name = name.lstrip("-").split("=")[0]
    if absl_message.startswith("Missing value"):
        return UserError(name, "needs a value")
    return UserError(name, absl_message)


def end(line: str, code: int) -> typing.NoReturn:
    """Ends the program with one line on stderr and an exit code."""
    print(" ".join(line.splitlines()), file=sys.stderr)
    raise SystemExit(code)
