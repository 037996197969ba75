# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import subprocess
import sys

import pytest
import torch
from tests.models.tiny import tiny_config, tiny_quantizer_config

from anyecg_hf import (
    AnyECGForLeadReconstruction,
    AnyECGForLongRecordClassification,
    AnyECGForMaskedCodeModeling,
    AnyECGForSequenceClassification,
    AnyECGForTokenClassification,
    AnyECGModel,
    AnyECGRhythmQuantizer,
)
from anyecg_hf.deployment.graphs import GraphModule, example_inputs, export_graph
from anyecg_hf.deployment.solvers import solve_by_elimination
from anyecg_hf.models.anyecg.lead_estimation_anyecg import least_squares_weights


def lead_reconstruction() -> AnyECGForLeadReconstruction:
    """With statistics of six leads, weights for each record and a decoder that is not zero."""
    lead_names = ["I", "II", "aVF", "V1", "V2", "V4", "unknown"]
    model = AnyECGForLeadReconstruction(tiny_config(time_encoding="rotary", lead_names=lead_names))
    generator = torch.Generator().manual_seed(4)
    leads = torch.zeros(7, 12)
    leads[:6] = torch.randn(6, 12, generator=generator)
    buffers = model.reconstruction_head.lead_estimator.record_weights.named_buffers()
    weights = {name: 0.1 * torch.randn(buffer.shape, generator=generator) for name, buffer in buffers}
    model.set_lead_covariance(leads @ leads.T, weights)
    with torch.no_grad():
        for parameter in model.reconstruction_head.decoder.parameters():
            parameter.normal_(std=0.1, generator=generator)
    return model


BUILT = {
    "backbone": lambda: AnyECGModel(tiny_config(time_encoding="rotary")),
    "backbone with a table of times": lambda: AnyECGModel(tiny_config(time_encoding="learned")),
    "masked codes": lambda: AnyECGForMaskedCodeModeling(tiny_config()),
    "classifier with voltages": lambda: AnyECGForSequenceClassification(
        tiny_config(use_scale_embeddings=True, classifier_pooling="mean_max", num_labels=3)
    ),
    "attentive classifier": lambda: AnyECGForSequenceClassification(tiny_config(classifier_pooling="attention")),
    "token classifier": lambda: AnyECGForTokenClassification(tiny_config(num_labels=4)),
    "lead reconstruction": lambda: lead_reconstruction(),
    "long records": lambda: AnyECGForLongRecordClassification(tiny_config(num_labels=3)),
    "quantizer": lambda: AnyECGRhythmQuantizer(tiny_quantizer_config()),
    "quantizer of two codebooks": lambda: AnyECGRhythmQuantizer(tiny_quantizer_config(num_quantizers=2)),
}


@pytest.mark.parametrize("name", BUILT)
def test_one_graph_serves_every_number_of_records_leads_and_patches(name):
    torch.manual_seed(0)
    model = BUILT[name]().eval()
    graph, module = export_graph(model), GraphModule(model)
    for shape in ((1, 1, 1), (1, 7, 8), (3, 4, 5)):
        tensors = example_inputs(module, shape)
        with torch.no_grad():
            expected, found = module(*tensors), graph.program.module()(*tensors)
        assert len(found) == len(graph.outputs)
        for wanted, answer in zip(expected, found, strict=True):
            torch.testing.assert_close(answer, wanted, rtol=1e-5, atol=1e-6)


def test_the_graph_answers_as_the_model_does():
    model = AnyECGModel(tiny_config()).eval()
    inputs = dict(zip(GraphModule(model).inputs, example_inputs(GraphModule(model), (2, 3, 6)), strict=True))
    with torch.no_grad():
        expected = model(**inputs)
    tokens, pooled = export_graph(model).program.module()(*inputs.values())
    real = inputs["attention_mask"].flatten(1).bool()
    torch.testing.assert_close(tokens[real], expected.last_hidden_state[real], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pooled, expected.pooler_output, rtol=1e-4, atol=1e-5)


def test_the_model_itself_is_left_as_it_is():
    model = AnyECGModel(tiny_config()).train()
    model.set_attn_implementation("eager")
    export_graph(model)
    assert model.training and model.config._attn_implementation == "eager"


def test_a_table_of_times_bounds_the_patches():
    graph = export_graph(AnyECGModel(tiny_config(time_encoding="learned", max_time_positions=8)))
    tensors = example_inputs(GraphModule(AnyECGModel(tiny_config(time_encoding="learned"))), (1, 2, 9))
    with pytest.raises(Exception, match="8"):
        graph.program.module()(*tensors)


def test_a_saved_graph_runs_without_this_package(tmp_path):
    graph = export_graph(AnyECGForSequenceClassification(tiny_config(num_labels=3)))
    torch.export.save(graph.program, tmp_path / "model.pt2")
    code = (
        "import sys, torch\n"
        "program = torch.export.load(sys.argv[1]).module()\n"
        "found = program(torch.zeros(1, 2, 4, 75), torch.ones(1, 2, 4).long(), torch.tensor([[0, 1]]))\n"
        "assert found[0].shape == (1, 3), found[0].shape\n"
        "assert not {'anyecg_hf', 'transformers'} & sys.modules.keys()\n"
    )
    outcome = subprocess.run([sys.executable, "-c", code, tmp_path / "model.pt2"], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr


def test_models_without_a_graph_are_refused():
    with pytest.raises(ValueError, match="Linear cannot be exported as a graph: choose one of AnyECGModel, AnyECGFor"):
        export_graph(torch.nn.Linear(1, 1))


def test_elimination_finds_the_weights_that_cholesky_finds():
    generator = torch.Generator().manual_seed(2)
    factors = torch.randn(5, 1, 6, 8, generator=generator)
    covariance = factors @ factors.mT
    present = torch.rand(5, 9, 6, generator=generator) < 0.6
    wanted = least_squares_weights(covariance, present)
    assert not wanted[~present.any(dim=-1)].any()
    for steps in (6, 11):
        found = solve_by_elimination(covariance, present, steps)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
