"""Cases certified one after the other, each stored as soon as it is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from experiments.harness import flags
from experiments.harness.preemption import termination
from experiments.harness.workdir import WorkDirectory

Record = dict[str, Any]


class Case(Protocol):
    """What is certified; `name` tells it from the others, in files' names too."""

    @property
    def name(self) -> str: ...


def certified(
    config: Any,
    cases: Sequence[Case],
    record: Callable[[Any, Case], Record],
    finish: Callable[[list[Record]], tuple[Record, Mapping[str, bytes]]],
) -> Record:
    """The content of results.json, made of the records of all cases.

    Args:
        record: of a case, where the work directory has none.
        finish: the results of all records, and the files that show them.

    Raises:
        UserError: a work directory that cannot be written.
        Terminated: SIGTERM came; every record so far is stored.
    """
    from experiments.harness.progress import Progress
    from experiments.harness.storage import write_whole

    with (
        WorkDirectory.open(config) as directory,
        termination() as asked_to_stop,
        Progress(config.progress, len(cases)) as progress,
        asked_to_stop.at_once(),
    ):
        progress.log(f"results go to {directory.path}")
        records = []
        for case in cases:
            found = directory.read_record(case.name)
            if found is None:
                progress.run(arm=case.name, seed=None, epochs=0)
                found = record(config, case)
                directory.write_record(case.name, found)
                progress.update(1)
                progress.log(f"{case.name}: {_words(found)}")
            else:
                progress.skip(1)
            records.append(found)
        results, files = finish(records)
        for name, content in files.items():
            write_whole(directory.path / name, content)
        directory.write_results(results)
    return results


def _words(record: Record) -> str:
    if "reason" in record:
        return f"none: {record['reason']}"
    told = record.get("description")
    return told or f"{record['walk']['description']} claimed, and none computed"


def facts(config: Any, records: Sequence[Record]) -> Record:
    """What results say of the run itself, and its records."""
    from experiments.harness.environment import environment

    return {
        "schema": 1,
        "experiment": config.experiment,
        "command": flags.command_line(config),
        "config_hash": flags.configuration_hash(config),
        "status": "complete",
        "environment": environment(),
        "config": flags.as_json(config, identity_only=True),
        "certificates": [each for each in records if "reason" not in each],
        "without": [each for each in records if "reason" in each],
        "seconds": sum(each.get("seconds", 0) for each in records),
    }
