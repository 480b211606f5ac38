"""Arms of a comparison: planned, trained, scored, measured, judged, summed up.

An experiment is its flags, with its question and its arms; what it asks of every
trained net; and which of those numbers arms are compared in:

    @dataclasses.dataclass(frozen=True)
    class Config(ComparisonFlags):
        experiment: ClassVar[str] = "boundary_comparison"
        boundary: ClassVar[str] = "zero"  # The arms' to say: no flag of the experiment.

        def question(self):
            return "Does a torus help?"

        def arms(self):
            return [Arm(name, {"boundary": name}) for name in ("zero", "circular")]

    def run(config):
        return experiment.run(
            config,
            measures=lambda: [shift_measures.consistency(reach=3, examples=500)],
            compared=["circular_consistency"],
        )

with `main` as `pooling_comparison` has it. All that `train` does holds for each arm:
recipes, augmentation, precision, engines, checkpoints, signals; a net that is damaged
before the comparison has ended is made again. Arms share their seeds' batches, so that
recipes of their own are refused where these would differ, and the initial parameters of
the same path and shape (`shared_start`). Each takes the rate that is best on
validation. `Measure` says how to ask more, and `run(drawings=...)` takes figures for
the report.
"""
