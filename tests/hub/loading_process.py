# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A fresh process that loads checkpoints with the package or without it, and writes down what they answer.

`python -I loading_process.py with|without JOB FOLDER`; without the package, every import of it fails. What the job
returns goes to `FOLDER/JOB-with.pt` or `FOLDER/JOB-without.pt`.
"""

import pickle
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

PACKAGE = "anyecg_hf"
SOURCE = Path(__file__).parents[2] / "src"


class BlockedPackage(MetaPathFinder):
    """Makes the package look as if nobody had installed it."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname.partition(".")[0] == PACKAGE:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


WITH_PACKAGE = __name__ == "__main__" and sys.argv[1] == "with"
if WITH_PACKAGE:
    sys.path.insert(0, str(SOURCE))
    import anyecg_hf
elif __name__ == "__main__":
    sys.meta_path.insert(0, BlockedPackage())

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers.dynamic_module_utils import get_class_from_dynamic_module  # noqa: E402

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
WHOLE = ("AutoModelForSequenceClassification", "AutoModelForAudioClassification", "AutoModelForPreTraining")
TOKENS = ("AutoModelForTokenClassification", "AutoModelForAudioFrameClassification")
TRUST = {} if WITH_PACKAGE else {"trust_remote_code": True}
NO_DROPOUT = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "classifier_dropout": 0.0}


def load(auto_class: str, checkpoint: Any, **options: Any):
    return getattr(transformers, auto_class).from_pretrained(str(checkpoint), **TRUST, **options)


def load_head(name: str, auto_class: str | None, checkpoint: Any, **options: Any):
    """A head that transformers has no Auto class for."""
    if not WITH_PACKAGE:
        return load("AutoModel", checkpoint, **options)
    return getattr(anyecg_hf, auto_class or name).from_pretrained(checkpoint, **options)


def waveform(seconds: float) -> np.ndarray:
    """Twelve leads of spikes at 500 Hz with some noise, `(12, samples)` in mV."""
    times = np.arange(int(500 * seconds)) / 500
    beats = np.exp(-(((times % 0.8) - 0.4) ** 2) / 2e-4)
    noise = np.random.default_rng(0).normal(0, 0.02, (12, len(times)))
    return (np.cos(np.arange(12))[:, None] * beats + noise).astype(np.float32)


def clean(tokenizer: Any, seconds: float = 10.0) -> Any:
    return tokenizer(waveform(seconds), sampling_rate=500, lead_names=LEADS, return_tensors="pt")


def hidden_lead(batch: Any) -> torch.Tensor:
    missing = torch.zeros_like(batch["attention_mask"], dtype=torch.bool)
    missing[:, LEADS.index("V3")] = True
    return missing


def tensors_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights and all buffers, those that follow from the config included."""
    return dict(model.named_parameters()) | dict(model.named_buffers())


def answers(folder: Path) -> dict[str, Any]:
    """Every Auto class: classes, codes, outputs on short and long records, buffers in half precision, gradients."""
    whole, found, classes = folder / "whole", {}, {}
    tokenizer = load("AutoFeatureExtractor", whole)
    classes |= {"AutoConfig": load("AutoConfig", whole), "AutoFeatureExtractor": tokenizer}
    for seconds in (2.0, 20.0):  # the second by the split path of cardio-sparse attention
        batch = clean(tokenizer, seconds)
        codes = tokenizer.encode(batch)
        found |= {f"{name} {seconds}": value for name, value in batch.items()} | {f"codes {seconds}": codes}
        found[f"decoded {seconds}"] = tokenizer.decode(codes, batch["lead_ids"], batch["scale"])
        for auto_class in ("AutoModel", "AutoModelForMaskedLM", *WHOLE):
            classes[auto_class] = load(auto_class, whole)
            found[f"{auto_class} {seconds}"] = classes[auto_class](**batch)[0]
        for auto_class in TOKENS:
            classes[auto_class] = load(auto_class, folder / "tokens")
            found[f"{auto_class} {seconds}"] = classes[auto_class](**batch).logits
        restorer = load_head("AnyECGForLeadReconstruction", "AutoModelForECGReconstruction", folder / "reconstruction")
        found[f"restored {seconds}"] = restorer(**batch, bool_masked_pos=hidden_lead(batch)).reconstruction
        long_records = load_head("AnyECGForLongRecordClassification", None, folder / "long_records")
        found[f"long record {seconds}"] = long_records(**batch).logits
    classes |= {"restorer": restorer, "long records": long_records}
    found |= quantizer_answers(folder, classes) | half_precision(folder) | gradients(whole, clean(tokenizer))
    kinds = {name: (type(thing).__module__, type(thing).__name__) for name, thing in classes.items()}
    implementations = {name: thing.config._attn_implementation for name, thing in classes.items() if "Model" in name}
    return {"tensors": found, "classes": kinds, "implementations": implementations}


def quantizer_answers(folder: Path, classes: dict[str, Any]) -> dict[str, torch.Tensor]:
    batch = clean(load("AutoFeatureExtractor", folder / "whole"), 2.0)
    batch.pop("scale")
    found = {}
    nested = {"subfolder": "quantizer"}
    for auto_class in ("AutoModel", "AutoModelForAudioTokenization"):
        for name, place, options in (("whole", "whole", nested), ("alone", "quantizer", {})):
            quantizer = load(auto_class, folder / place, **options)
            classes[f"{name} quantizer by {auto_class}"] = quantizer
            found[f"{name} quantizer by {auto_class}"] = quantizer.encode(**batch)
    found |= {f"quantizer loss {name}": value for name, value in quantizer(**batch).items() if value is not None}
    return found


def half_precision(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of models in bfloat16, some of which must stay in float32."""
    restorer = load_head(
        *("AnyECGForLeadReconstruction", "AutoModelForECGReconstruction", folder / "reconstruction"),
        dtype=torch.bfloat16,
    )
    quantizer = load("AutoModel", folder / "whole", subfolder="quantizer", dtype=torch.bfloat16)
    found = {f"half {name}": value for name, value in tensors_of(restorer).items()}
    return found | {f"half quantizer {name}": value for name, value in tensors_of(quantizer).items()}


def gradients(whole: Path, batch: Any) -> dict[str, torch.Tensor]:
    """Gradients of the masked-code loss, with and without activation checkpointing."""
    found = {}
    for checkpointing in (False, True):
        model = load("AutoModelForMaskedLM", whole, **NO_DROPOUT).train()
        if checkpointing:
            model.activation_checkpointing_enable()
        labels = torch.arange(batch["attention_mask"].numel()).view_as(batch["attention_mask"]) % 16
        with torch.enable_grad():
            model(**batch, bool_masked_pos=labels % 2 == 0, labels=labels).loss.backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                found[f"gradient {checkpointing} {name}"] = parameter.grad
    return found


def saved_again(folder: Path) -> dict[str, Any]:
    """What a model and its tokenizer leave when they are saved, and whether it loads by every Auto class again."""
    target = folder / "again"
    model, tokenizer = load("AutoModelForSequenceClassification", folder / "whole"), None
    tokenizer = load("AutoFeatureExtractor", folder / "whole")
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    batch = clean(load("AutoFeatureExtractor", target))
    again = load("AutoModelForSequenceClassification", target)
    found = {"before": model(**batch).logits, "after": again(**batch).logits}
    found["codes before"] = tokenizer.encode(batch)
    weights = again.state_dict()
    same = all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    found["codes after"] = load("AutoFeatureExtractor", target).encode(batch)
    pickled = pickle.loads(pickle.dumps(model))
    found["pickled"] = pickled(**batch).logits
    model.set_attn_implementation("eager")
    found["eager"] = model(**batch).logits
    others = {name: type(load(name, target)).__name__ for name in ("AutoConfig", "AutoModel")}
    quantizer = load("AutoModelForAudioTokenization", target, subfolder="quantizer")
    return {"tensors": found, "same weights": same, "others": others | {"quantizer": type(quantizer).__name__}}


def copies(folder: Path) -> dict[str, Any]:
    """Two versions of the code and then the package in one process: each model goes on with its own attention."""
    model = load("AutoModel", folder / "whole")
    batch = clean(load("AutoFeatureExtractor", folder / "whole"))
    before = model(**batch)[0]
    other = load("AutoModel", folder / "other_version")
    found = {"before": before, "after": model(**batch)[0], "other": other(**batch)[0]}
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, BlockedPackage)]
    sys.path.insert(0, str(SOURCE))
    import anyecg_hf

    packaged = transformers.AutoModel.from_pretrained(folder / "whole", trust_remote_code=True)
    found |= {"package": packaged(**batch)[0], "after package": model(**batch)[0], "other after": other(**batch)[0]}
    is_packages = type(packaged) is anyecg_hf.AnyECGModel
    return {"tensors": found, "modules": [type(model).__module__, type(other).__module__], "is packages": is_packages}


def own_auto_class(folder: Path) -> dict[str, Any]:
    """The Auto class that transformers lacks, taken from beside the checkpoint."""
    auto_class = get_class_from_dynamic_module("entry_anyecg.AutoModelForECGReconstruction", str(folder / "whole"))
    model = auto_class.from_pretrained(folder / "whole", **TRUST)
    batch = clean(load("AutoFeatureExtractor", folder / "whole"))
    return {"restored": model(**batch, bool_masked_pos=hidden_lead(batch)).reconstruction}


def from_the_hub(folder: Path) -> dict[str, Any]:
    """A repository of the Hub, or in its cache."""
    refused = ""
    try:
        transformers.AutoModel.from_pretrained("org/any-ecg.1", trust_remote_code=False)
    except ValueError as error:
        refused = str(error)
    tokenizer, model = load("AutoFeatureExtractor", "org/any-ecg.1"), load("AutoModel", "org/any-ecg.1")
    head = load("AutoModelForSequenceClassification", "org/any-ecg.1", revision="main")
    batch = clean(tokenizer)
    found = {"codes": tokenizer.encode(batch), "states": model(**batch)[0], "logits": head(**batch).logits}
    return {
        "tensors": found,
        "refused": refused,
        "same config class": type(model.config) is type(head.config),
        "of": type(model).__module__,
    }


def refusal(folder: Path) -> dict[str, str]:
    """What transformers says where nobody allowed the code to run."""
    said = {}
    for name in ("AutoConfig", "AutoFeatureExtractor", "AutoModel", "AutoModelForSequenceClassification"):
        for trust in (None, False):
            try:
                getattr(transformers, name).from_pretrained(folder / "marked", trust_remote_code=trust)
            except ValueError as error:
                said[f"{name} {trust}"] = str(error)
    return said


JOBS = (answers, saved_again, copies, own_auto_class, from_the_hub, refusal)


def main() -> None:
    package, name, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("warn")  # memory from `torch.empty` is NaN until written
    jobs = {job.__name__: job for job in JOBS}
    with torch.no_grad():
        result = jobs[name](folder)
    was_imported = PACKAGE in sys.modules
    if was_imported != (WITH_PACKAGE or name == "copies"):
        raise RuntimeError(f"{PACKAGE} was imported: {was_imported}.")
    torch.save(result, folder / f"{name}-{package}.pt")


if __name__ == "__main__":
    main()
