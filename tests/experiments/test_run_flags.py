"""The flags that whatever trains shares."""

import dataclasses

import pytest

from experiments import train, transfer
from experiments.comparing.comparison_flags import ComparisonFlags
from experiments.harness.directory_flags import DirectoryFlags
from experiments.harness.recipe_flags import RecipeFlags
from experiments.harness.run_flags import RunFlags, run_usage


def described(config_class):
    return {
        field.name: (field.default, field.metadata)
        for field in dataclasses.fields(config_class)
    }


def test_a_directorys_flags_are_said_once():
    own, shared = described(RunFlags), described(DirectoryFlags)
    assert all(own[name][1] is metadata for name, (_, metadata) in shared.items())


@pytest.mark.parametrize("config_class", [RunFlags, ComparisonFlags])
def test_flags_come_as_net_and_recipe_seeds_and_directory(config_class):
    """In `--help`, and in the command that makes a run again."""
    names = list(described(config_class))
    parts = [
        [name for name in described(RecipeFlags) if name in names],
        ["seeds", "seed_engine", "keep", "allow_rounding"],
        list(described(DirectoryFlags)),
    ]
    wanted = [name for part in parts for name in part]
    assert names[: len(wanted)] == wanted


@pytest.mark.parametrize("command", [train, transfer])
def test_a_commands_help_begins_with_its_text_and_the_recipes(command):
    text = run_usage(command.__doc__)()
    assert text.startswith(command.__doc__)
    assert "\nRecipes:\n" in text and "64,000 steps" in text
