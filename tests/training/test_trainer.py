# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import torch

from anyecg_hf.training.trainer import training_arguments


def test_our_defaults_give_way_to_what_is_passed(tmp_path):
    arguments = training_arguments(tmp_path, use_cpu=True, weight_decay=0.5)
    assert (arguments.weight_decay, arguments.seed, arguments.lr_scheduler_type) == (0.5, 0, "cosine")
    assert arguments.output_dir == str(tmp_path)
    assert arguments.report_to == []  # nothing is sent anywhere
    assert arguments.device == torch.device("cpu")


def test_columns_that_only_the_collator_knows_are_kept(tmp_path):
    assert training_arguments(tmp_path, use_cpu=True).remove_unused_columns is False
