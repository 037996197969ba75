# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import math
import os
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tests.models.tiny import padded_batch, tiny_quantizer_config

from anyecg_hf import AnyECGRhythmQuantizer
from anyecg_hf.models.anyecg.quantization_anyecg import VectorQuantizer
from anyecg_hf.training.codebook_health import CodebookCollapseError, CodebookHealth, CodebookMeasurement

CODES = 4


def small_quantizer(**overrides) -> VectorQuantizer:
    """Codes are the axes of a space of four dimensions."""
    settings = {"codebook_size": CODES, "codebook_dim": CODES, "min_codebook_usage": 0.6, **overrides}
    quantizer = VectorQuantizer(tiny_quantizer_config(**settings)).train()
    for codebook in quantizer.codebooks:
        codebook.embeddings.copy_(torch.eye(CODES))
    quantizer.started.fill_(True)
    return quantizer


def use(quantizer: VectorQuantizer, *codes: int, masked: int = 0) -> None:
    """One batch of the first codebook's codes, the last of which are masked."""
    mask = torch.arange(len(codes)) < len(codes) - masked
    quantizer(torch.eye(CODES)[list(codes)][None], mask[None])


def measurement(*counts: list[int]) -> CodebookMeasurement:
    return CodebookMeasurement(torch.tensor(counts))


class TestMeasurement:
    def test_figures_are_those_of_the_counts(self):
        found = measurement([5, 5, 0, 0], [4, 2, 1, 1])
        assert (found.uses, found.usages) == (10, [0.5, 1.0]) and found.usage == 0.75
        second = math.exp(math.log(2) / 2 + math.log(4) / 4 + 2 * math.log(8) / 8)
        assert found.perplexities == pytest.approx([2.0, second])
        assert found.perplexity == pytest.approx((2.0 + second) / 2)

    def test_nothing_counted_is_not_a_number_rather_than_zero(self):
        found = measurement([0, 0, 0, 0])
        assert found.uses == 0 and math.isnan(found.usage) and math.isnan(found.perplexity)


class TestCounting:
    def test_every_real_patch_of_a_training_batch_counts(self):
        quantizer = small_quantizer()
        with CodebookHealth().attach(quantizer) as health:
            use(quantizer, 0, 0, 2, 3, masked=1)
            use(quantizer, 0, 1)
            found = health.measure()
        assert found.counts.tolist() == [[3, 1, 1, 0]] and found.counts.dtype == torch.long
        assert found.uses == 5

    def test_measuring_starts_anew(self):
        quantizer = small_quantizer()
        health = CodebookHealth().attach(quantizer)
        use(quantizer, 1)
        health.measure()
        use(quantizer, 2, 2)
        assert health.measure().counts.tolist() == [[0, 0, 2, 0]]

    def test_each_residual_codebook_counts_for_itself(self):
        quantizer = small_quantizer(num_quantizers=2)
        health = CodebookHealth().attach(quantizer)
        use(quantizer, 0, 1, 1)
        assert health.measure().counts.sum(dim=1).tolist() == [3, 3]

    @pytest.mark.parametrize("what", ["warm-up", "evaluation", "no gradients"])
    def test_nothing_else_counts(self, what):
        quantizer = small_quantizer()
        quantizer.started.fill_(what != "warm-up")
        quantizer.train(what != "evaluation")
        health = CodebookHealth().attach(quantizer)
        with torch.set_grad_enabled(what != "no gradients"):
            use(quantizer, 0, 1)
        assert health.measure().uses == 0

    def test_a_whole_model_is_counted_through_its_quantizer(self):
        model = AnyECGRhythmQuantizer(tiny_quantizer_config()).train()
        model.quantizer.started.fill_(True)
        batch = padded_batch()
        with CodebookHealth().attach(model.quantizer) as health:
            codes = model(**batch).codes
        expected = torch.bincount(codes[codes >= 0], minlength=16)
        assert health.measure().counts.tolist() == [expected.tolist()]

    def test_the_mask_may_be_passed_by_name(self):
        quantizer = small_quantizer()
        health = CodebookHealth().attach(quantizer)
        quantizer(torch.eye(CODES), mask=torch.tensor([True, False, False, True]))
        assert health.measure().counts.tolist() == [[1, 0, 0, 1]]


class TestAttaching:
    def test_one_hook_is_on_however_often_it_is_attached(self):
        quantizer = small_quantizer()
        health = CodebookHealth().attach(quantizer)
        use(quantizer, 0)
        health.attach(quantizer)
        use(quantizer, 0)
        assert len(quantizer._forward_hooks) == 1
        assert health.measure().counts.tolist() == [[2, 0, 0, 0]]

    def test_detaching_may_be_repeated_and_ends_with_the_context(self):
        quantizer = small_quantizer()
        with pytest.raises(KeyError), CodebookHealth().attach(quantizer) as health:
            raise KeyError
        health.detach()
        use(quantizer, 0)
        assert not quantizer._forward_hooks and health.measure().uses == 0

    def test_another_quantizer_starts_anew(self):
        first, second = small_quantizer(), small_quantizer(num_quantizers=2)
        health = CodebookHealth().attach(first)
        use(first, 0)
        health.attach(second)
        use(first, 0)
        assert health.measure().counts.tolist() == [[0] * CODES] * 2

    def test_what_is_no_quantizer_is_refused(self):
        model = AnyECGRhythmQuantizer(tiny_quantizer_config())
        with pytest.raises(TypeError, match="expected a VectorQuantizer, got AnyECGRhythmQuantizer: pass `model.quan"):
            CodebookHealth().attach(model)

    @pytest.mark.parametrize("call", ["measure", "check", "load_state_dict"])
    def test_nothing_can_be_asked_of_what_was_never_attached(self, call):
        arguments = {"check": (measurement([1]), tiny_quantizer_config()), "load_state_dict": ({},)}.get(call, ())
        with pytest.raises(RuntimeError, match=r"call `attach\(model.quantizer\)` first"):
            getattr(CodebookHealth(), call)(*arguments)


class TestCollapse:
    CONFIG = tiny_quantizer_config(codebook_size=CODES, min_codebook_usage=0.6)

    @pytest.fixture
    def health(self):
        return CodebookHealth().attach(small_quantizer())

    def test_too_few_codes_in_use_end_training_with_the_figures(self, health):
        told = (
            r"the codebook has collapsed: only 50\.0% of its 4 codes are in use, and `min_codebook_usage` is 60\.0%"
            r" \(perplexity 2\.0 over 40 patches\)\. Try a longer unquantized warm-up \(`codebook_warmup_updates`\)"
        )
        with pytest.raises(CodebookCollapseError, match=told):
            health.check(measurement([20, 20, 0, 0]), self.CONFIG)

    def test_enough_codes_in_use_are_well(self, health):
        health.check(measurement([38, 1, 1, 0]), self.CONFIG)

    def test_few_uses_wait_for_more(self, health):
        health.check(measurement([39, 0, 0, 0]), self.CONFIG)
        with pytest.raises(CodebookCollapseError, match="25.0% of its 4 codes"):
            health.check(measurement([1, 0, 0, 0]), self.CONFIG)

    def test_codes_of_all_waiting_measurements_are_judged_together(self, health):
        health.check(measurement([30, 0, 0, 0]), self.CONFIG)
        health.check(measurement([0, 5, 5, 0]), self.CONFIG)

    def test_what_was_judged_does_not_help_later(self, health):
        health.check(measurement([10, 10, 10, 10]), self.CONFIG)
        with pytest.raises(CodebookCollapseError):
            health.check(measurement([40, 0, 0, 0]), self.CONFIG)

    def test_one_collapsed_residual_codebook_is_enough(self):
        health = CodebookHealth().attach(small_quantizer(num_quantizers=2))
        with pytest.raises(CodebookCollapseError, match=r"residual codebook 1 \(of 2\) has collapsed: only 25.0%"):
            health.check(measurement([10, 10, 10, 10], [40, 0, 0, 0]), self.CONFIG)


class TestResuming:
    def test_a_resumed_run_judges_as_an_uninterrupted_one(self):
        first, second = small_quantizer(), small_quantizer()
        before = CodebookHealth().attach(first)
        before.check(measurement([30, 0, 0, 0]), first.config)
        use(first, 0, 0, 1)
        state = before.state_dict()
        use(first, 3)  # after the state was taken
        after = CodebookHealth().attach(second)
        after.load_state_dict(state)
        use(second, 2)
        found = after.measure()
        assert found.counts.tolist() == [[2, 1, 1, 0]]
        with pytest.raises(CodebookCollapseError, match="50.0% of its 4 codes .* over 40 patches"):
            after.check(measurement([9, 1, 0, 0]), second.config)

    def test_the_state_is_tensors_that_training_does_not_change(self):
        quantizer = small_quantizer()
        health = CodebookHealth().attach(quantizer)
        state = health.state_dict()
        use(quantizer, 0)
        assert {name: counts.tolist() for name, counts in state.items()} == {
            "window_counts": [[0] * CODES],
            "waiting_counts": [[0] * CODES],
        }

    def test_a_state_of_other_codebooks_is_refused(self):
        state = CodebookHealth().attach(small_quantizer()).state_dict()
        with pytest.raises(ValueError, match=r"expected .* \(2, 4\).*, got .* \(1, 4\).*: another model's"):
            CodebookHealth().attach(small_quantizer(num_quantizers=2)).load_state_dict(state)


def _count_in_process(rank: int, port: int, folder: Path) -> None:
    os.environ.update({"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    quantizer = small_quantizer()
    with CodebookHealth().attach(quantizer) as health:
        if rank == 0:
            use(quantizer, *([0, 1] * 20))
        window = health.state_dict()["window_counts"]
        found = health.measure()
        try:
            health.check(found, quantizer.config)
            told = ""
        except CodebookCollapseError as error:
            told = str(error)
    torch.save({"window": window, "counts": found.counts, "told": told}, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_all_processes_judge_by_the_batches_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.start_processes(_count_in_process, args=(port, tmp_path), nprocs=2, start_method="spawn")
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["window"].tolist() == [[20, 20, 0, 0]] and second["window"].tolist() == [[0] * CODES]
    assert first["counts"].tolist() == second["counts"].tolist() == [[20, 20, 0, 0]]
    assert first["told"] == second["told"] and "only 50.0% of its 4 codes" in first["told"]
