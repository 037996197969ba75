# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import torch
from tests.corpora.written_rows import row
from tests.evaluation.leads.lead_batches import all_situations, part, true_batch, twelve_leads
from tests.training.written_records import LEADS
from tests.training.written_sources import cleaned_rows

from anyecg_hf.evaluation.leads.estimators import kinds_of
from anyecg_hf.evaluation.leads.situations import PARTS, STANDARD_LEADS, clean_batch, situations, standard_window
from anyecg_hf.models.anyecg.configuration_anyecg import LEAD_NAMES


class TestSituations:
    def test_every_part_scores_its_leads(self):
        found = all_situations(true_batch())
        leads = {
            name: [
                sorted({STANDARD_LEADS[lead] for lead in item.scored[name].nonzero()[1]}) for item in part(found, name)
            ]
            for name in PARTS
        }
        assert leads["three_leads"] == [["V1", "V3", "V4", "V5", "V6"]]
        assert leads["one_chest_lead"] == [[f"V{number}"] for number in range(1, 7)]
        assert leads["limb_leads"] == [sorted(STANDARD_LEADS[:6])]
        assert leads["one_limb_lead"] == [[name] for name in STANDARD_LEADS[:6]]
        assert leads["blocked"] == [sorted(STANDARD_LEADS)]

    def test_only_three_leads_are_given_of_three_leads(self):
        (found,) = part(all_situations(true_batch()), "three_leads")
        clean = kinds_of(found.tensors).clean
        assert {STANDARD_LEADS[lead] for lead in clean.nonzero()[:, 1].tolist()} == {"I", "II", "V2"}

    def test_draws_follow_from_the_name_of_a_record_and_the_seed(self):
        batch = true_batch()
        ((whole,), (again,), (other,)) = (part(all_situations(batch, seed), "noised") for seed in (0, 0, 1))
        alone = {name: value[1:2] for name, value in batch.items()}
        (single,) = part(situations(alone, ["r1"], LEAD_NAMES, 300), "noised")
        assert torch.equal(single.tensors["input_values"][0], whole.tensors["input_values"][1])
        assert torch.equal(whole.tensors["input_values"], again.tensors["input_values"])
        assert not torch.equal(whole.tensors["input_values"], other.tensors["input_values"])

    def test_nothing_of_what_is_given_tells_the_strength_of_what_is_missing(self):
        batch = true_batch()
        louder = {**batch, "input_values": batch["input_values"].clone()}
        louder["input_values"][:, 8] *= 3  # V3
        # What a tokenizer makes of it: all leads together have unit spread.
        spread = louder["input_values"].square().mean(dim=(1, 2, 3)).sqrt()
        louder["input_values"] /= spread[:, None, None, None]
        louder["scale"] = batch["scale"] * spread
        for one, other in zip(all_situations(batch), all_situations(louder), strict=True):
            given = one.tensors["attention_mask"].bool() & ~one.tensors["bool_masked_pos"]
            values = one.tensors["input_values"]
            torch.testing.assert_close(values[given].square().mean(), torch.tensor(1.0))
            in_mv = one.tensors["labels"] * one.tensors["scale"][:, None, None, None]
            torch.testing.assert_close(in_mv, batch["input_values"] * 0.2)
            if not given[:, 8].any():
                torch.testing.assert_close(other.tensors["input_values"], values)

    def test_leads_come_in_the_standard_order_and_all_must_be_usable(self):
        turned = twelve_leads(0, lead_names=list(LEADS[::-1]))
        bad, few, good = (dict(cleaned_rows([item])[0]) for item in (twelve_leads(1), row(2), turned))
        bad["attention_mask"] = np.asarray(bad["attention_mask"]).copy()
        bad["attention_mask"][4] = False
        assert standard_window(bad, LEAD_NAMES) is None and standard_window(few, LEAD_NAMES) is None
        places = standard_window(good, LEAD_NAMES)
        batch = clean_batch([good], [places])
        assert [LEAD_NAMES[index] for index in batch["lead_ids"][0]] == list(STANDARD_LEADS)
        assert torch.equal(batch["input_values"][0, 0], torch.tensor(np.asarray(good["input_values"])[11]).float())
