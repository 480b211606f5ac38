import dataclasses
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from cnnlab.errors import UserError
from experiments.harness import flags

USAGE = """Which pool is best?

Example:
  python -m experiments.sample --seeds=2
"""


@dataclasses.dataclass(frozen=True)
class Config:
    experiment: ClassVar[str] = "sample"

    seeds: int = flags.field(5, "number of seeds")
    learning_rate: float = flags.field(0.1, "peak learning rate, per step")
    model: str = flags.field("lenet5", "architecture", choices=("lenet5", "resnet20"))
    augment: bool = flags.field(False, "whether to move the training images")
    pools: tuple[str, ...] = flags.field(("max_pool", "avg_pool"), "arms")
    learning_rates: tuple[float, ...] | None = flags.field(None, "rates to try")
    examples: int | None = flags.field(None, "training examples; none means all")
    workdir: str | None = flags.field(None, "directory", identity=False)
    overwrite: bool = flags.field(False, "start anew", identity=False)

    def validate(self):
        if self.seeds < 1:
            raise UserError("seeds", f"{self.seeds} is less than 1")


def parse(*argv):
    return flags.parse(Config, argv, usage=USAGE)


def refused(*argv):
    with pytest.raises(UserError) as caught:
        parse(*argv)
    return f"--{caught.value}"


def test_no_flags_give_the_defaults():
    assert parse() == Config()


@pytest.mark.parametrize(
    "argv, expected",
    [
        (("--seeds=3",), {"seeds": 3}),
        (("--seeds", "3"), {"seeds": 3}),
        (("--learning_rate=1e-3",), {"learning_rate": 1e-3}),
        (("--augment",), {"augment": True}),
        (("--augment", "--noaugment"), {"augment": False}),
        (("--augment=false",), {"augment": False}),
        (("--learning_rates=0.1, 1",), {"learning_rates": (0.1, 1.0)}),
        (("--learning_rates=0.1", "--learning_rates=none"), {"learning_rates": None}),
        (("--examples=none",), {"examples": None}),
        (("--workdir=a b",), {"workdir": "a b"}),
    ],
)
def test_flags_set_typed_fields(argv, expected):
    assert parse(*argv) == dataclasses.replace(Config(), **expected)


@pytest.mark.parametrize(
    "text, items",
    [
        ("max_pool", ("max_pool",)),
        (
            "max_pool,lp_pool(p=3.0, normalize=False)",
            ("max_pool", "lp_pool(p=3.0, normalize=False)"),
        ),
        ("f(a=[1,2],b={3,4}), g", ("f(a=[1,2],b={3,4})", "g")),
        ("f(mode=')'),g(x=\"a,b\")", ("f(mode=')')", 'g(x="a,b")')),
    ],
)
def test_a_list_splits_at_commas_outside_brackets_and_quotes(text, items):
    assert parse(f"--pools={text}").pools == items


@pytest.mark.parametrize(
    "text", ["", "a,,b", "a,", ",a", "f(a", "f(a))", "f(a]", "f('a)", "a, ,b"]
)
def test_a_malformed_list_is_refused(text):
    assert refused(f"--pools={text}").startswith("--pools: '")


@pytest.mark.parametrize(
    "argv, line",
    [
        (("--seeds=0",), "--seeds: 0 is less than 1"),
        (("--seeds=abc",), "--seeds: 'abc' is not an integer"),
        (("--seeds=1.5",), "--seeds: '1.5' is not an integer"),
        (("--seeds=",), "--seeds: '' is not an integer"),
        (("--seeds=none",), "--seeds: 'none' is not an integer"),
        (("--learning_rate=fast",), "--learning_rate: 'fast' is not a number"),
        (("--learning_rate=nan",), "--learning_rate: 'nan' is not a finite number"),
        (("--learning_rates=1,x",), "--learning_rates: 'x' is not a number"),
        (("--augment=maybe",), "--augment: 'maybe' is not true or false"),
        (("--model=vgg",), "--model: 'vgg' is not one of lenet5, resnet20"),
        (("--sedes=3",), "--sedes: unknown flag; did you mean --seeds?"),
        (("--sedes", "3"), "--sedes: unknown flag; did you mean --seeds?"),
        (("--q=3",), "--q: unknown flag; --help lists them"),
        (("--model",), "--model: needs a value"),
        (("--seeds", "--augment"), "--seeds: '--augment' is not an integer"),
    ],
)
def test_bad_usage_is_one_line_that_begins_with_the_flag(argv, line):
    assert refused(*argv) == line


def test_a_negated_flag_takes_no_value():
    assert refused("--noaugment=1").startswith("--noaugment: ")


@pytest.mark.parametrize("argv", [("foo",), ("--seeds=3", "foo"), ("--", "foo")])
def test_a_word_that_is_no_flag_is_refused(argv):
    with pytest.raises(flags.UnexpectedArgument, match="unexpected argument 'foo'"):
        parse(*argv)


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(seeds=7, learning_rate=1 / 3, augment=True, workdir="a 'quoted' $place"),
        Config(pools=("lp_pool(p=3.0, mode='x')", "max_pool"), learning_rates=(1e-9,)),
    ],
)
def test_the_command_line_makes_the_configuration_again(config):
    words = shlex.split(flags.command_line(config))
    assert words[:3] == ["python", "-m", "experiments.sample"]
    assert parse(*words[3:]) == config
    given = {re.match(r"--(?:no)?(\w+)", word)[1] for word in words[3:]}
    differing = {
        item.name
        for item in dataclasses.fields(config)
        if getattr(config, item.name) != item.default
    }
    assert given == differing


def test_the_hash_covers_the_identity_fields_and_no_others():
    base = flags.configuration_hash(Config())
    assert re.fullmatch("[0-9a-f]{64}", base)
    same = Config(workdir="elsewhere", overwrite=True)
    assert flags.configuration_hash(same) == base
    others = [
        Config(seeds=6),
        Config(learning_rate=0.2),
        Config(model="resnet20"),
        Config(augment=True),
        Config(pools=("avg_pool", "max_pool")),
        Config(learning_rates=(0.1,)),
        Config(examples=1),
    ]
    hashes = {flags.configuration_hash(config) for config in others}
    assert len(hashes | {base}) == len(others) + 1


def test_the_hash_knows_the_experiment():
    class Other(Config):
        experiment: ClassVar[str] = "other"

    assert flags.configuration_hash(Other()) != flags.configuration_hash(Config())


def test_equal_settings_have_one_hash_however_they_are_written():
    typed = Config(learning_rate=1.0, pools=("a", "b"), learning_rates=(1.0,))
    loose = Config(learning_rate=1, pools=["a", "b"], learning_rates=[1])
    assert flags.configuration_hash(typed) == flags.configuration_hash(loose)


@pytest.mark.parametrize("word", ["--help", "-h", "--helpfull"])
def test_help_lists_every_flag_in_eighty_columns(word, capsys):
    with pytest.raises(SystemExit) as caught:
        parse("--seeds=bad", word)
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(USAGE.splitlines()[0])
    assert max(map(len, shown.splitlines())) < 80
    listed = re.findall(r"^  --(?:\[no\])?(\w+)", shown, flags=re.MULTILINE)
    assert listed == [item.name for item in dataclasses.fields(Config)]
    assert "One of lenet5, resnet20. Default: lenet5." in shown
    assert "Default: max_pool,avg_pool." in shown


def run_main(monkeypatch, run, *argv):
    monkeypatch.setattr(sys, "argv", ["sample", *argv])
    flags.main(Config, run, usage=USAGE)


def test_main_runs_the_parsed_configuration(monkeypatch):
    seen = []
    run_main(monkeypatch, seen.append, "--seeds=2")
    assert seen == [Config(seeds=2)]


@pytest.mark.parametrize(
    "argv, line",
    [
        (("--seeds=0",), "--seeds: 0 is less than 1"),
        (("foo",), "unexpected argument 'foo'; every option is a flag, --name=value"),
    ],
)
def test_main_refuses_bad_usage_with_code_2(monkeypatch, capsys, argv, line):
    with pytest.raises(SystemExit) as caught:
        run_main(monkeypatch, pytest.fail, *argv)
    assert caught.value.code == 2
    assert capsys.readouterr().err == line + "\n"


def test_main_tells_a_user_error_of_the_run_in_one_line(monkeypatch, capsys):
    def run(config):
        raise UserError("dataset", "'cats' is not one of\nglyphs")

    with pytest.raises(SystemExit) as caught:
        run_main(monkeypatch, run)
    assert caught.value.code == 2
    assert capsys.readouterr().err == "--dataset: 'cats' is not one of glyphs\n"


def test_main_leaves_a_bug_its_traceback(monkeypatch):
    def run(config):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_main(monkeypatch, run)


@pytest.mark.parametrize(
    "argv, command",
    [((), "command"), (("--overwrite",), "command without --overwrite")],
)
def test_main_says_how_an_interrupted_run_goes_on(argv, command):
    program = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent), *sys.path]}\n"
        "import signal, test_flags\n"
        "from experiments.harness import flags\n"
        "flags.main(test_flags.Config, lambda _: signal.raise_signal(2), usage='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *argv], capture_output=True, text=True
    )
    line = f"interrupted; the same {command} goes on from what is stored\n"
    assert (done.returncode, done.stderr) == (130, line)


def test_reading_flags_imports_nothing_heavy():
    probe = (
        "import sys\nfrom experiments.harness import flags, progress, workdir\n"
        "heavy = {'jax', 'flax', 'numpy', 'rich', 'matplotlib', 'tensorflow_datasets'}"
        "\nprint(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_reader_that_goes_early_is_no_fault():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "experiments.export", "--help"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
