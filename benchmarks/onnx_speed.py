# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares ONNX files, of whole precision and of 8 bits, with PyTorch: time of a forward pass, and what rounding costs.

    python benchmarks/onnx_speed.py --data-root DATA_ROOT

`DATA_ROOT` holds PTB-XL's folder; without it only times are measured. Of PTB-XL, fold 8 is read.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from reporting import Conditions, benchmark_parser, markdown_table, write_report
from transformers.utils.logging import disable_progress_bar

from anyecg_hf import TINY, AnyECGForSequenceClassification, AnyECGTokenizer
from anyecg_hf.deployment.exported_checkpoint import export_checkpoint
from anyecg_hf.deployment.graphs import GraphModule, example_inputs
from anyecg_hf.deployment.onnx_files import onnx_session
from anyecg_hf.evaluation.classification.task_splits import TaskSplit, load_task_data
from anyecg_hf.evaluation.evaluation_configs import EvaluationConfig
from anyecg_hf.evaluation.metrics import macro_auroc, paired_bootstrap_difference
from anyecg_hf.training.config_files import load_config
from anyecg_hf.training.label_tasks import label_task

LIBRARIES = ("anyecg-hf", "torch", "transformers", "onnx", "onnxruntime")
RECIPE = Path(__file__).parents[1] / "examples" / "recipes" / "evaluation" / "ptbxl_superclass.yaml"
# Records, leads, patches of a quarter of a second.
SHAPES = {
    "1 record of 12 leads, 10 s": (1, 12, 40),
    "8 such records": (8, 12, 40),
    "1 record of 1 lead, 10 s": (1, 1, 40),
}
ROUNDS = 30

Answer = Callable[[dict[str, torch.Tensor]], np.ndarray]


def answers(folder: Path, threads: int) -> dict[str, Answer]:
    """The ways to get logits, by name; PyTorch's own comes first."""
    model = AnyECGForSequenceClassification.from_pretrained(TINY).eval()
    sessions = {
        "ONNX Runtime": onnx_session(folder / "model.onnx", threads),
        "ONNX Runtime, 8 bits": onnx_session(folder / "model.int8.onnx", threads),
    }

    def by_torch(tensors: dict[str, torch.Tensor]) -> np.ndarray:
        with torch.inference_mode():
            return model(**tensors).logits.numpy()

    def by_session(session) -> Answer:
        names = [item.name for item in session.get_inputs()]
        return lambda tensors: session.run(None, {name: tensors[name].numpy() for name in names})[0]

    return {"PyTorch": by_torch, **{name: by_session(session) for name, session in sessions.items()}}


def measure_times(ways: dict[str, Answer]) -> dict[str, dict[str, list[float]]]:
    """Shape -> way -> seconds of each round; the ways take turns in an order drawn anew every round."""
    module = GraphModule(AnyECGForSequenceClassification.from_pretrained(TINY))
    draws = np.random.default_rng(0)
    found: dict[str, dict[str, list[float]]] = {}
    for title, shape in SHAPES.items():
        tensors = dict(zip(module.inputs, example_inputs(module, shape), strict=True))
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for round_number in range(ROUNDS + 3):
            for name in draws.permutation(list(ways)):
                start = time.perf_counter()
                ways[name](tensors)
                if round_number >= 3:  # the first ones warm up
                    seconds[name].append(time.perf_counter() - start)
        found[title] = seconds
    return found


def measure_cost(ways: dict[str, Answer], data_root: Path) -> list[tuple[str, str, str, str]]:
    """Rows of the table: how scores on PTB-XL's fold 8 differ from PyTorch's."""
    config = load_config(EvaluationConfig, RECIPE, data__root=str(data_root), checkpoint=TINY)
    tokenizer = AnyECGTokenizer.from_pretrained(TINY)
    split = load_task_data(config.data, tokenizer, label_task(config.task)).validation
    thresholds = AnyECGForSequenceClassification.from_pretrained(TINY).config.label_thresholds
    classes = list(AnyECGForSequenceClassification.from_pretrained(TINY).config.id2label.values())
    limits = np.array([thresholds[name] for name in classes])
    scores = {name: score(split, answer) for name, answer in ways.items()}
    reference = scores["PyTorch"]
    rows = []
    for name, found in scores.items():
        if name == "PyTorch":
            continue
        cost = paired_bootstrap_difference(
            macro_auroc, split.labels, found, reference, groups=split.patients, class_names=classes
        )
        changed = ((found >= limits) != (reference >= limits)).mean()
        rows.append(
            (
                name,
                f"{np.abs(found - reference).max():.2g}",
                f"{100 * changed:.2g} %",
                f"{cost.estimate:+.4f} [{cost.low:+.4f}, {cost.high:+.4f}]",
            )
        )
    return rows


def score(split: TaskSplit, answer: Answer) -> np.ndarray:
    """Probabilities `(records, classes)`; means over a record's windows, weighted by their real patches."""
    windows = []
    for row in split.windows:
        tensors = {
            "input_values": torch.tensor(np.asarray(row["input_values"]), dtype=torch.float32)[None],
            "attention_mask": torch.tensor(np.asarray(row["attention_mask"]), dtype=torch.long)[None],
            "lead_ids": torch.tensor(np.asarray(row["lead_ids"]), dtype=torch.long)[None],
            "scale": torch.tensor([float(row["scale"])]),
        }
        windows.append(1 / (1 + np.exp(-answer(tensors)[0].astype(float))))
    total = np.zeros((len(split.keys), len(windows[0])))
    np.add.at(total, split.record_of_window, np.array(windows) * split.real_patches[:, None])
    return total / np.bincount(split.record_of_window, split.real_patches)[:, None]


def main() -> None:
    parser = benchmark_parser(__doc__, __file__)
    parser.add_argument("--data-root", type=Path, help="folder that holds PTB-XL's")
    parser.add_argument("--threads", type=int, default=2, help="of either runtime (default: %(default)s)")
    arguments = parser.parse_args()
    disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    with Conditions(LIBRARIES) as conditions, tempfile.TemporaryDirectory() as name:
        exported = export_checkpoint(TINY, name, int8=True)
        ways = answers(Path(name), arguments.threads)
        times = measure_times(ways)
        costs = measure_cost(ways, arguments.data_root) if arguments.data_root else []
    rows = []
    for title, seconds in times.items():
        medians = {way: statistics.median(values) for way, values in seconds.items()}
        cells = [f"{1e3 * medians[way]:.1f} ms ({medians['PyTorch'] / medians[way]:.2f})" for way in ways]
        rows.append((title, *cells))
    paragraphs = [
        f"The classifier of the embedded checkpoint, {arguments.threads} threads, medians of {ROUNDS} forward passes"
        " that took turns in drawn order; in brackets how many times as fast as PyTorch. Cleaning is not included.",
        markdown_table(("", *ways), rows),
        f"Files: {exported.files['model.onnx'] / 1e6:.1f} MB, with weights of 8 bits"
        f" {exported.files['model.int8.onnx'] / 1e6:.1f} MB.",
    ]
    if costs:
        paragraphs += [
            "What the answers differ by on PTB-XL's fold 8, from PyTorch's on the same records: largest difference of a"
            " probability, share of yes and no at the checkpoint's thresholds that changed, and the paired difference"
            " of macro AUROC over the superclasses with its 95 % bootstrap interval over patients.",
            markdown_table(("", "probability", "decisions changed", "macro AUROC less PyTorch's"), costs),
        ]
    write_report(arguments.output, __file__, "ONNX against PyTorch on a CPU", paragraphs, conditions)


if __name__ == "__main__":
    main()
