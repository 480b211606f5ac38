import numpy as np
import pytest

from cnnlab.statistics import compare_pairs, mean_interval

RATES = (0.01, 0.03, 0.1)


def make_results(names, seeds, rates=RATES, shifts=True):
    """A made-up results.json: arms a little apart, seeds a little noisy."""
    generator = np.random.default_rng(len(names) * 10 + seeds)
    shared = generator.normal(0, 0.004, size=seeds)
    arms = []
    for place, name in enumerate(names):
        noise = generator.normal(0, 0.002, size=(2, seeds))
        test = 0.935 - 0.006 * place + shared + noise[0]
        train = 0.985 - 0.004 * place + noise[1]
        accuracy = np.asarray(
            [0.92 - 0.01 * abs(np.log(rate / 0.03)) for rate in rates]
        )
        drawn = accuracy[:, None] - 0.005 * place + shared
        best = int(np.argmax(drawn.mean(axis=1)))
        arm = {
            "name": name,
            "spec": name,
            "model": "lenet5",
            "parameters": 61_706,
            "macs": 416_520,
            "test_accuracy": mean_interval(test)._asdict(),
            "train_accuracy": mean_interval(train)._asdict(),
            "validation_accuracy": mean_interval(drawn[best])._asdict(),
            "gap": mean_interval(train - test)._asdict(),
            "step_seconds": 0.0123 * (place + 1),
            "learning_rate": rates[best],
            "rates": [
                {
                    "learning_rate": rate,
                    "validation_accuracy": mean_interval(values)._asdict(),
                    "chosen": index == best,
                }
                for index, (rate, values) in enumerate(zip(rates, drawn, strict=True))
            ],
            "seeds": [
                {
                    "seed": seed,
                    "test_accuracy": float(test[seed]),
                    "train_accuracy": float(train[seed]),
                    "test_loss": 0.2,
                    "steps": 400,
                    "seconds": 3.5,
                    "params_hash": "0" * 64,
                }
                for seed in range(seeds)
            ],
        }
        if shifts:
            offsets = np.arange(-8, 9)
            fall = np.exp(-((offsets / (5 + 0.4 * place)) ** 2))
            moved = [mean_interval(0.1 + f * (test - 0.1)) for f in fall]
            arm["shift_accuracy"] = {
                "shifts": offsets.tolist(),
                "axis": "horizontal",
                "examples": 1000,
                "mean": [each.mean for each in moved],
                "low": None if seeds == 1 else [each.low for each in moved],
                "high": None if seeds == 1 else [each.high for each in moved],
            }
        arms.append(arm)
    pairs = {
        arm["name"]: [seed["test_accuracy"] for seed in arm["seeds"]] for arm in arms
    }
    return {
        "schema": 1,
        "experiment": "pooling_comparison",
        "question": "Which pooling classifies best: max, average or stochastic?",
        "command": "python -m experiments.pooling_comparison --dataset=glyphs "
        f"--model=lenet5 --pools={','.join(names)} --seeds={seeds} --epochs=6",
        "config_hash": "0123456789abcdef",
        "status": "complete",
        "environment": {"jax": "0.10.2", "device": "cpu", "threads": 2},
        "seconds": 93.0,
        "config": {"model": "lenet5", "dataset": "glyphs", "learning_rates": rates},
        "dataset": {
            "name": "glyphs",
            "summary": "glyphs: 4,000 train and 2,000 test images, 28x28x1, 10 classes",
            "fingerprint": "f" * 64,
            "train": 9000,
            "validation": 1000,
            "test": 2000,
        },
        "arms": arms,
        "comparisons": compare_pairs(pairs) if len(pairs) > 1 else [],
        "figures": [],
        "notes": ["The order of the arms is the same at every learning rate."],
    }


def make_metrics(results, epochs=6):
    """Made-up rows of metrics.jsonl for every arm, seed and learning rate."""
    generator = np.random.default_rng(0)
    rows = []
    for place, arm in enumerate(results["arms"]):
        for rate in [each["learning_rate"] for each in arm["rates"]]:
            for seed in range(len(arm["seeds"])):
                for epoch in range(1, epochs + 1):
                    loss = 2.3 * np.exp(-epoch / (2 + 0.1 * place))
                    for split in ("train", "validation"):
                        noisy = loss + abs(generator.normal(0, 0.03))
                        noisy += 0.05 * (split == "validation")
                        rows.append(
                            {
                                "arm": arm["name"],
                                "seed": seed,
                                "epoch": epoch,
                                "step": epoch * 70,
                                "split": split,
                                "loss": noisy,
                                "accuracy": float(np.exp(-noisy / 2)),
                                "learning_rate": rate,
                                "seconds": 0.5,
                            }
                        )
    return rows


LONG_NAMES = [
    "max_pool",
    "avg_pool(count_include_pad=True)",
    "stochastic_pool",
    "lp_pool(p=3.0)",
    "soft_pool(temperature=0.5)",
    "max_blur_pool(taps=5)",
    "adaptive_polyphase(norm=2)",
    "mixed_pool(alpha=0.25,trainable=True)",
    "log_sum_exp_pool",
    "gated_pool",
    "median_pool",
    "learned_polyphase",
]


@pytest.fixture
def long_names():
    """Twelve names of arms, as long as they come."""
    return LONG_NAMES


@pytest.fixture(scope="session", name="make_results")
def make_results_fixture():
    return make_results


@pytest.fixture(scope="session", name="make_metrics")
def make_metrics_fixture():
    return make_metrics


@pytest.fixture
def results():
    """Three arms over five seeds and three learning rates."""
    return make_results(["max_pool", "avg_pool", "stochastic_pool"], seeds=5)
