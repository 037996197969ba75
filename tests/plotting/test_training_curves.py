# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
import math
import re

import numpy as np
import pytest
from matplotlib.image import imread

from anyecg_hf.plotting.training_curves import draw_training_curves, save_training_curves

KINDS = (
    *("loss", "morphology_loss", "codebook_loss", "learning_rate", "gradient_norm", "perplexity", "codebook_usage"),
    *("records_per_s", "tokens_per_s", "model_flop_utilisation"),
)
TITLES = [
    *("Loss", "Loss terms", "Learning rate", "Gradient norm", "Codebook perplexity", "Codebook in use"),
    *("Records / s", "Tokens / s", "Model FLOP utilisation", "Epoch", "Validation: macro auroc"),
]


@pytest.fixture
def lines() -> list[dict]:
    """Ten lines of everything, a validation on a line of its own, and what is no number."""
    logged = [{"step": step, **dict.fromkeys(KINDS, 1.0 / step), "epoch": step // 50} for step in range(10, 110, 10)]
    validation = {"step": 100, "validation_loss": 0.5, "validation_macro_auroc": 0.8, "best": True, "device": "cpu"}
    return [*logged, validation]


def curve(figure, name: str) -> tuple[list, list]:
    """Steps and values of a key's line."""
    (line,) = figure.findobj(lambda artist: artist.get_gid() == name)
    return line.get_xdata().tolist(), line.get_ydata().tolist()


def titles(figure) -> list[str]:
    return [ax.get_title(loc="left") for ax in figure.axes]


def panel(figure, title: str):
    return figure.axes[titles(figure).index(title)]


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_every_kind_of_number_has_its_panel_in_a_fixed_order(lines):
    figure = draw_training_curves(lines)
    assert titles(figure) == TITLES
    assert legend(panel(figure, "Loss")) == ["training", "validation"]
    assert legend(panel(figure, "Loss terms")) == ["morphology", "codebook"]
    assert all(ax.get_legend() is None for ax in figure.axes[2:])


def test_any_subset_of_keys_will_do():
    assert titles(draw_training_curves([{"step": 1, "perplexity": 3}, {"step": 2, "loss": None}])) == [
        "Codebook perplexity"
    ]


def test_lines_show_the_values_at_their_steps(lines):
    figure = draw_training_curves(lines)
    assert curve(figure, "perplexity") == (list(range(10, 110, 10)), [1.0 / step for step in range(10, 110, 10)])
    assert curve(figure, "validation_loss") == ([100], [0.5])
    assert {ax.get_xlim() for ax in figure.axes} == {(8.2, 101.8)}


def test_losses_are_logarithmic_unless_one_is_negative(lines):
    scales = {ax.get_title(loc="left"): ax.get_yscale() for ax in draw_training_curves(lines).axes}
    assert {title for title, scale in scales.items() if scale == "log"} == {"Loss", "Loss terms", "Gradient norm"}
    lines[3]["codebook_loss"] = -0.1
    assert panel(draw_training_curves(lines), "Loss terms").get_yscale() == "linear"


def test_a_term_that_is_zero_throughout_is_named_as_such(lines):
    zero = [line | {"codebook_loss": 0.0} if "loss" in line else line for line in lines]
    figure = draw_training_curves(zero)
    assert legend(panel(figure, "Loss terms")) == ["morphology", "codebook (0)"]
    assert panel(figure, "Loss terms").get_yscale() == "log"
    figure.canvas.draw()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_leaves_a_gap_and_a_mark(lines, value, tmp_path):
    lines[4]["loss"] = value
    figure = draw_training_curves(lines)
    assert math.isnan(curve(figure, "loss")[1][4])
    assert curve(figure, "not-finite") == ([50], [0.97])
    assert legend(panel(figure, "Loss")) == ["training", "not finite", "validation"]
    save_training_curves(lines, tmp_path / "curves.png")


def test_nothing_finite_at_all_can_be_drawn(tmp_path):
    save_training_curves(
        [{"step": step, "loss": math.nan, "perplexity": math.nan} for step in (1, 2)], tmp_path / "a.png"
    )
    assert imread(tmp_path / "a.png").shape[2] == 4


def test_long_runs_have_a_mean_over_the_values():
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(0.0, 0.3, 400))
    values[7] = np.nan
    metrics = [{"step": step, "loss": value, "learning_rate": 1e-3} for step, value in enumerate(values.tolist())]
    figure = draw_training_curves(metrics)
    steps, mean = curve(figure, "loss-mean")
    assert steps == list(range(400)) and np.isfinite(mean).all()
    assert mean[200] == pytest.approx(np.exp(np.log(values[190:210]).mean()), rel=1e-9)
    assert not figure.findobj(lambda artist: artist.get_gid() == "learning_rate-mean")  # nothing to smooth


def test_what_a_run_logged_beyond_the_checkpoint_it_went_back_to_is_left_out():
    metrics = [{"step": step, "loss": float(step)} for step in (10, 20, 30, 40)]
    metrics += [{"step": 20, "loss": 20.5}, {"step": 30, "loss": 30.5}]
    assert curve(draw_training_curves(metrics), "loss") == ([10, 20, 30], [10.0, 20.5, 30.5])


def test_a_file_is_read_line_by_line(lines, tmp_path):
    lines[2]["loss"] = math.nan  # as `json` writes and reads it
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    save_training_curves(tmp_path / "metrics.jsonl", tmp_path / "file.png", title="runs/$x_1$")
    save_training_curves(lines, tmp_path / "lines.png", title="runs/$x_1$")
    assert (tmp_path / "file.png").read_bytes() == (tmp_path / "lines.png").read_bytes()


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    save_training_curves(tmp_path / "metrics.jsonl", tmp_path / "file.png")
    save_training_curves([{"step": 1, "loss": 2.0}], tmp_path / "lines.png")
    assert (tmp_path / "file.png").read_bytes() == (tmp_path / "lines.png").read_bytes()


def test_a_broken_line_in_the_middle_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "lo\n{"step": 3}\n')
    told = re.escape(f'{path}, line 2: expected a JSON object, found \'{{"step": 2, "lo\'')
    with pytest.raises(ValueError, match=told):
        save_training_curves(path, tmp_path / "curves.png")


@pytest.mark.parametrize("line", [{"loss": 1.0}, {"step": 1.5}, {"step": True}, [1, 2]])
def test_a_line_needs_a_step(line):
    told = re.escape(f"metrics, line 2: expected an object with `step`, a whole number, got {line!r}.")
    with pytest.raises(ValueError, match=told):
        draw_training_curves([{"step": 1, "loss": 1.0}, line])


@pytest.mark.parametrize("metrics", [[], [{"step": 1, "device": "cpu"}]])
def test_nothing_to_draw_is_an_error(metrics):
    told = f"metrics: expected numbers logged beside `step`, found none in {len(metrics)} lines."
    with pytest.raises(ValueError, match=told):
        draw_training_curves(metrics)


def test_only_a_png_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"written as \.png, got the path .*curves\.pdf"):
        save_training_curves([{"step": 1, "loss": 1.0}], tmp_path / "curves.pdf")
