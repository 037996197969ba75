# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from tests.corpora.written_rows import row
from tests.models.tiny import tiny_config
from tests.training.written_sources import cleaned_rows

from anyecg_hf.models.anyecg import LEAD_NAMES
from anyecg_hf.training.windows import (
    USUAL_LEADS,
    WindowCollator,
    WindowSettings,
    codes_of,
    demographics_of,
    draw_leads,
    pad_windows,
    record_time_positions,
    seeded_generator,
)

TWELVE = np.arange(12)


def numbered(leads: int, patches: int, lead_ids: np.ndarray | None = None, **columns: Any) -> dict[str, Any]:
    """A cleaned row whose patches hold `100 * lead + patch`, and so do its codes."""
    numbers = 100 * np.arange(leads)[:, None] + np.arange(patches)
    return {
        "input_values": np.repeat(numbers[..., None], 4, axis=2).astype(np.float16),
        "attention_mask": np.ones((leads, patches), dtype=bool),
        "lead_ids": np.arange(leads, dtype=np.int16) if lead_ids is None else np.asarray(lead_ids, dtype=np.int16),
        "scale": np.float32(0.25),
        "codes": numbers.astype(np.int16),
        "n_leads": leads,
        "n_patches": patches,
        **columns,
    }


class TestPlaces:
    def test_without_a_generator_it_is_the_first_window_with_all_leads(self):
        leads, span = WindowSettings(10, lead_dropout=1.0).place(numbered(6, 25), None)
        assert (leads.tolist(), span) == ([0, 1, 2, 3, 4, 5], slice(0, 10))

    def test_windows_start_anywhere_and_keep_their_length(self):
        settings, generator = WindowSettings(10), seeded_generator(0)
        spans = [settings.place(numbered(2, 15), generator)[1] for _ in range(100)]
        assert {span.start for span in spans} == set(range(6))
        assert {span.stop - span.start for span in spans} == {10}

    @pytest.mark.parametrize("patches", [3, 10])
    def test_a_record_no_longer_than_a_window_is_taken_whole(self, patches):
        settings, generator = WindowSettings(10), seeded_generator(0)
        assert {settings.place(numbered(2, patches), generator)[1].start for _ in range(20)} == {0}

    def test_draws_follow_from_the_generator_alone(self):
        settings = WindowSettings(10, lead_dropout=0.5)

        def draw(seed: int) -> list[str]:
            np.random.default_rng().random()
            torch.rand(())
            generator = seeded_generator(7, seed)
            return [str(settings.place(numbered(12, 200), generator)) for _ in range(30)]

        assert draw(0) == draw(0) != draw(1)


class TestLeadDropout:
    @pytest.mark.parametrize("dropout", [0.0, 0.4, 1.0])
    def test_leads_are_dropped_at_the_given_rate(self, dropout):
        settings, generator, record = WindowSettings(10, lead_dropout=dropout), seeded_generator(0), numbered(12, 10)
        counts = [len(settings.place(record, generator)[0]) for _ in range(1000)]
        # Half of the drops are random, and a twelfth of those keeps all leads.
        assert np.mean(np.array(counts) < 12) == pytest.approx(dropout * (1 - 0.5 / 12), abs=0.05)
        assert min(counts) >= 1

    def test_the_usual_sets_and_random_ones_are_drawn(self):
        generator = seeded_generator(0)
        drawn = Counter(tuple(draw_leads(TWELVE, generator).tolist()) for _ in range(4000))
        usual = {tuple(sorted(LEAD_NAMES.index(name) for name in names)) for names in USUAL_LEADS.values()}
        assert usual == {(0,), (0, 1), (0, 1, 7), (0, 1, 2, 3, 4, 5)}
        shares = [drawn[leads] / 4000 for leads in usual]
        assert sum(shares) == pytest.approx(0.5, abs=0.05) and min(shares) > 0.08
        assert {len(leads) for leads in drawn} == set(range(1, 13))
        assert len(drawn) > 500

    def test_leads_stay_in_the_order_of_the_record(self):
        generator = seeded_generator(0)
        drawn = [draw_leads(TWELVE[::-1], generator) for _ in range(200)]
        assert all((np.diff(leads) > 0).all() for leads in drawn)
        assert (11,) in {tuple(leads.tolist()) for leads in drawn}  # lead I is the last there

    def test_only_sets_that_the_record_has_are_usual_for_it(self):
        ids, generator = np.array([6, 7, 1, 8]), seeded_generator(0)  # V1, V2, II, V3
        sizes = Counter(len(draw_leads(ids, generator)) for _ in range(800))
        assert all(sizes[size] / 800 == pytest.approx(0.25, abs=0.06) for size in (1, 2, 3, 4))

    def test_a_single_lead_stays(self):
        settings, generator = WindowSettings(4, lead_dropout=1.0), seeded_generator(0)
        assert all(settings.place(numbered(1, 9), generator)[0].tolist() == [0] for _ in range(50))

    def test_a_window_is_never_left_with_unusable_leads_only(self):
        record = numbered(12, 20)
        record["attention_mask"][:] = False
        record["attention_mask"][5, :10] = record["attention_mask"][9] = True
        settings, generator = WindowSettings(10, lead_dropout=1.0), seeded_generator(0)
        for _ in range(300):
            leads, span = settings.place(record, generator)
            assert record["attention_mask"][leads, span].any()

    def test_a_window_without_any_signal_is_still_a_window(self):
        record = numbered(3, 20)
        record["attention_mask"][:] = False
        leads, _ = WindowSettings(10, lead_dropout=1.0).place(record, seeded_generator(0))
        assert len(leads) >= 1


class TestBatches:
    def test_everything_of_a_window_is_of_the_same_leads_and_times(self):
        collate, generator = WindowCollator(WindowSettings(10, lead_dropout=1.0)), seeded_generator(0)
        for _ in range(20):
            batch = collate([numbered(6, 40)], generator)
            values = batch["input_values"][0, :, :, 0] * (batch["scale"] / 0.25).nan_to_num(1.0)
            step = values[0, 1] - values[0, 0]  # 1, or what it became in a window brought to unit spread
            torch.testing.assert_close(values.diff(dim=1), step.expand(len(values), 9), rtol=1e-3, atol=0.0)
            assert torch.equal(batch["lead_ids"][0], (values[:, 0] / step / 100 + 1e-3).floor().long())

    def test_windows_with_fewer_leads_are_brought_to_unit_spread(self):
        collate, generator = WindowCollator(WindowSettings(10, lead_dropout=1.0)), seeded_generator(0)
        record = numbered(6, 10)
        record["input_values"] = (1 + np.arange(6, dtype=np.float16))[:, None, None] * np.ones((6, 10, 4), np.float16)
        record["attention_mask"][:, 7:] = False
        seen = set()
        for _ in range(50):
            batch = collate([record], generator)
            leads = batch["lead_ids"][0]
            seen.add(len(leads))
            real = batch["input_values"][0, :, :7]
            spread_mv = 0.25 if len(leads) == 6 else 0.25 * (1.0 + leads).square().mean().sqrt()
            if len(leads) < 6:
                torch.testing.assert_close(real.square().mean(), torch.tensor(1.0))
            if batch["scale"].isfinite().all():
                torch.testing.assert_close(batch["scale"], torch.tensor([float(spread_mv)]))
                in_mv = (real * batch["scale"])[:, 0, 0]
                torch.testing.assert_close(in_mv, 0.25 * (1.0 + leads))
        assert seen >= {1, 2, 3, 6}

    def test_a_window_of_silence_is_left_as_it_is(self):
        record = numbered(6, 10)
        record["input_values"][...] = 0.001
        batch = WindowCollator(WindowSettings(10, lead_dropout=1.0))([record], seeded_generator(1))
        assert len(batch["lead_ids"][0]) < 6 and (batch["input_values"] < 0.01).all()

    def test_the_scale_is_sometimes_unknown_in_training_and_never_elsewhere(self):
        collate, rows = WindowCollator(WindowSettings(4)), [numbered(1, 4)] * 500
        unknown = collate(rows, seeded_generator(0))["scale"].isnan()
        assert 0.05 < unknown.float().mean() < 0.15
        assert (collate(rows)["scale"] == 0.25).all()

    def test_shapes_and_types_are_those_that_models_take(self):
        batch = WindowCollator(WindowSettings(10))([numbered(2, 25), numbered(12, 7)])
        assert {name: (tuple(value.shape), value.dtype) for name, value in batch.items()} == {
            "input_values": ((2, 12, 10, 4), torch.float32),
            "attention_mask": ((2, 12, 10), torch.int64),
            "lead_ids": ((2, 12), torch.int64),
            "scale": ((2,), torch.float32),
        }

    @pytest.mark.parametrize("size", [(1, 3), (2, 10), (12, 10)])
    def test_padding_changes_nothing_of_the_other_rows(self, size):
        record, other = numbered(3, 8), numbered(*size)
        alone = pad_windows([record], [(np.arange(3), slice(0, 10))])
        beside = pad_windows([record, other], [(np.arange(3), slice(0, 10)), (np.arange(size[0]), slice(0, 10))])
        for name, value in alone.items():
            found = beside[name][0]
            padded = found.clone()
            part = tuple(slice(0, length) for length in value.shape[1:])
            assert torch.equal(found[part], value[0])
            padded[part] = 0
            assert not padded.any(), f"{name} is not zero where padded"

    def test_a_row_of_a_corpus_becomes_the_numbers_that_were_cleaned(self):
        rows = cleaned_rows([row(0, n_leads=1), row(2, n_leads=5, seconds=9)], most_patches=16)
        batch = WindowCollator(WindowSettings(8))(list(rows))
        assert batch["input_values"].shape == (4, 5, 8, 75)
        for index, found in enumerate(rows):
            window = batch["input_values"][index, : found["n_leads"], : min(found["n_patches"], 8)].numpy()
            np.testing.assert_array_equal(window, found["input_values"][:, :8].astype(np.float32))

    def test_codes_are_padded_with_minus_one(self):
        rows, places = [numbered(2, 9), numbered(3, 4)], [(np.array([1]), slice(5, 9)), (np.arange(3), slice(0, 8))]
        batch = pad_windows(rows, places)
        codes = codes_of(rows, places, batch["attention_mask"])
        assert codes.dtype == torch.int64
        assert codes[0].tolist() == [[105, 106, 107, 108], [-1] * 4, [-1] * 4]
        assert torch.equal(codes[1], torch.from_numpy(rows[1]["codes"].astype(np.int64)))

    def test_codes_of_several_codebooks_keep_their_last_axis(self):
        record = numbered(2, 5)
        record["codes"] = np.stack([record["codes"], record["codes"] + 1], axis=-1)
        places = [(np.array([1]), slice(1, 4))]
        codes = codes_of([record], places, pad_windows([record], places)["attention_mask"])
        assert codes.tolist() == [[[[101, 102], [102, 103], [103, 104]]]]

    def test_demographics_are_nan_where_unknown(self):
        rows = [
            {"age_years": 61.5, "weight_kg": None, "sex": 1},
            {"age_years": None, "weight_kg": 80.0, "sex": 0},
        ]
        expected = torch.tensor([[61.5, torch.nan, 1.0], [torch.nan, 80.0, 0.0]])
        torch.testing.assert_close(demographics_of(rows), expected, equal_nan=True)


class TestTimePositions:
    def test_windows_start_at_any_row_of_a_learned_table(self):
        collate, generator = WindowCollator(WindowSettings(10, time_positions=13)), seeded_generator(0)
        batches = [collate([numbered(2, 10), numbered(2, 6)], generator) for _ in range(40)]
        # As the longest of a batch allows.
        assert {int(offset) for batch in batches for offset in batch["time_offset"]} == {0, 1, 2, 3}

    def test_without_draws_they_start_at_the_first(self):
        assert "time_offset" not in WindowCollator(WindowSettings(10, time_positions=13))([numbered(2, 10)])
        assert "time_offset" not in WindowCollator(WindowSettings(10))([numbered(2, 10)], seeded_generator(0))

    def test_the_config_says_what_was_trained(self):
        rotary, learned = tiny_config(time_encoding="rotary"), tiny_config(max_time_positions=8)
        assert record_time_positions(rotary, 40) is None and rotary.trained_time_positions == 40
        assert record_time_positions(learned, 6) == 8 == learned.trained_time_positions

    def test_a_window_longer_than_the_table_is_refused(self):
        with pytest.raises(ValueError, match="a window has 9 patches, and the time table 8 rows: shorten `window_s`"):
            record_time_positions(tiny_config(max_time_positions=8), 9)


def test_generators_follow_from_all_their_numbers():
    def draw(*numbers: int) -> float:
        return float(torch.rand((), generator=seeded_generator(*numbers)))

    assert draw(1, 2, 3) == draw(1, 2, 3)
    assert len({draw(1, 2, 3), draw(3, 2, 1), draw(1, 2), draw(1, 2, 4), draw(0, 2, 3)}) == 5
