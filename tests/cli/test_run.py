# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread
from safetensors.torch import load_file, save_file
from tests.checkpoints import DESCRIPTIONS, THRESHOLDS
from tests.cli.conftest import write_csv
from tests.training.written_records import ecg_counts, write_wfdb

from anyecg_hf.pipelines import RecordAnalyzer
from anyecg_hf.records import read_record

DISCLAIMER = "Research software, not a medical device."


def lines_of(text: str) -> dict[str, str]:
    """First word of every line -> the rest."""
    return dict(re.split(r"\s+", line.strip(), maxsplit=1) for line in text.splitlines() if " " in line.strip())


class TestText:
    @pytest.fixture
    def out(self, anyecg, checkpoint, half_flat):
        outcome = anyecg("run", "half_flat", "--model", checkpoint, "--no-picture")
        assert outcome.status == 0
        return outcome.out

    def test_it_says_what_was_read(self, out):
        lines = lines_of(out)
        assert lines["Record"] == "half_flat: 3 leads, I II V1"
        assert lines["Length"] == "10 s, 5000 samples at 500 Hz"

    def test_it_says_how_it_was_cleaned(self, out):
        steps = r"resampled 500 -> 300 Hz; band-pass 0\.1-75 Hz; notch 50 Hz; db6 denoising; scaled by 0\.\d+ mV"
        assert re.fullmatch(steps, lines_of(out)["Cleaning"])

    def test_it_names_unusable_leads_with_the_reason(self, out):
        assert lines_of(out)["Unusable"] == "V1 (flat); 0 patches masked for missing samples"

    def test_it_counts_patches_masked_for_missing_samples(self, anyecg, checkpoint, own_folder, counts):
        signal_mv = counts / 1000
        signal_mv[1, 1000:1500] = np.nan  # 2 to 3 s: patches 8 to 11
        np.save(own_folder / "a.npy", signal_mv)
        lines = lines_of(anyecg("run", "a.npy", "--model", checkpoint, "--no-picture", *READING).out)
        assert lines["Unusable"] == "no lead; 4 patches masked for missing samples"
        assert [code == "." for code in lines["II"].split()[:24]] == [8 <= patch < 12 for patch in range(24)]

    def test_it_shows_codes_of_every_lead_and_dots_where_masked(self, out, checkpoint, half_flat):
        analyzer = RecordAnalyzer(checkpoint)
        with pytest.warns(UserWarning, match="V1"):
            codes = analyzer.encode(analyzer.clean(read_record(half_flat)))
        lines = lines_of(out)
        different = len(np.unique(codes[:2]))
        assert lines["Codes"] == f"3 leads x 40 patches of 0.25 s, {different} different"
        assert lines["I"].split() == [*map(str, codes[0, :24]), "...", "(40)"]
        assert lines["II"].split() == [*map(str, codes[1, :24]), "...", "(40)"]
        assert lines["V1"].split() == [*"." * 24, "...", "(40)"]

    def test_it_ranks_named_classes_and_marks_those_from_their_threshold_on(self, out):
        rows = re.findall(r"^  (\w+) +(0\.\d{3}|1\.000) (\*| ) (.+)$", out, re.MULTILINE)
        assert {label: words for label, _, _, words in rows} == DESCRIPTIONS
        probabilities = [float(probability) for _, probability, _, _ in rows]
        assert probabilities == sorted(probabilities, reverse=True)
        for label, probability, mark, _ in rows:
            assert (mark == "*") == (float(probability) >= THRESHOLDS[label])
        assert {mark for _, _, mark, _ in rows} == {"*", " "}
        assert "* at or above the threshold chosen on selection records" in out

    def test_it_ends_with_what_it_is_not(self, out):
        assert out.splitlines()[-1] == DISCLAIMER
        assert "Picture" not in out

    def test_a_warning_is_one_line_said_once(self, anyecg, checkpoint, half_flat):
        outcome = anyecg("run", "half_flat", "--model", checkpoint)
        assert outcome.warnings == ["Warning: unusable leads are masked: V1 (flat)."]
        assert outcome.errors == []

    def test_a_short_record_shows_all_its_codes(self, anyecg, checkpoint, own_folder):
        write_wfdb(own_folder / "short", ecg_counts(0, leads=1, seconds=2))
        out = anyecg("run", "short", "--model", checkpoint, "--no-picture").out
        assert len(lines_of(out)["I"].split()) == 8
        assert lines_of(out)["Unusable"].startswith("no lead; 0 patches")

    def test_a_long_record_says_in_how_many_windows_it_was_walked(self, anyecg, checkpoint, own_folder):
        write_wfdb(own_folder / "long", ecg_counts(0, leads=1, seconds=21))
        out = anyecg("run", "long", "--model", checkpoint, "--no-picture").out
        assert lines_of(out)["Classes"] == "probability, mean of 3 windows"
        assert lines_of(out)["I"].endswith("... (84)")
        out = anyecg("run", "long", "--model", checkpoint, "--no-picture", "--window", "7").out
        assert "mean of 3 windows" in out
        out = anyecg("run", "long", "--model", checkpoint, "--no-picture", "--window", "30").out
        assert lines_of(out)["Classes"] == "probability"


class TestPicture:
    def test_it_is_drawn_beside_under_the_records_name(self, anyecg, checkpoint, record, own_folder):
        outcome = anyecg("run", "rec.dat", "--model", checkpoint)
        assert outcome.status == 0
        assert "Picture     rec.png" in outcome.out
        picture = imread(own_folder / "rec.png")
        assert picture.shape[0] > 300 and picture.shape[1] > 600
        assert picture[..., :3].std() > 0.05
        assert len(np.unique(picture[..., :3].reshape(-1, 3).round(1), axis=0)) > 20

    def test_it_goes_where_it_is_told_to(self, anyecg, checkpoint, record, own_folder):
        outcome = anyecg("run", "rec", "--model", checkpoint, "-o", "new/folder/a.png")
        assert outcome.status == 0
        assert (own_folder / "new" / "folder" / "a.png").stat().st_size > 10_000
        assert not list(own_folder.glob("*.png"))

    def test_none_is_drawn_where_none_is_wanted(self, anyecg, checkpoint, record, own_folder):
        assert anyecg("run", "rec", "--model", checkpoint, "--no-picture").status == 0
        assert not list(own_folder.rglob("*.png"))

    def test_it_may_start_later(self, anyecg, checkpoint, own_folder):
        write_wfdb(own_folder / "long", ecg_counts(0, leads=3, seconds=21))
        pictures = []
        for start in ("0", "11.3"):
            assert anyecg("run", "long", "--model", checkpoint, "--start", start, "-o", "a.png").status == 0
            pictures.append(imread(own_folder / "a.png"))
        assert not np.array_equal(*pictures)

    @pytest.mark.parametrize("start", ["10", "50"])
    def test_a_start_beyond_the_record_is_refused_before_the_analysis(self, anyecg, record, start):
        outcome = anyecg("run", "rec", "--model", "/no/such/checkpoint", "--start", start)
        assert (outcome.status, outcome.out) == (1, "")
        assert outcome.errors == [f"anyecg run: --start must lie in the record, from 0 to below 10 s, got {start}."]

    @pytest.mark.parametrize("start", ["-1", "nan", "inf"])
    def test_an_impossible_start_is_refused_before_any_work(self, anyecg, start):
        outcome = anyecg("run", "nowhere", "--model", "/no/such/checkpoint", f"--start={start}")
        assert outcome.status == 1
        assert outcome.errors == [f"anyecg run: --start must be a number of seconds, 0 or more, got {start}."]

    @pytest.mark.parametrize("output", ["x.jpg", "x"])
    def test_another_kind_of_picture_is_refused_before_any_work(self, anyecg, output):
        outcome = anyecg("run", "nowhere", "--model", "/no/such/checkpoint", "-o", output)
        assert outcome.status == 1
        assert outcome.errors == [f"anyecg run: the output must end in .png or .pdf or .svg, got {output}."]


class TestJSON:
    def test_it_holds_everything(self, anyecg, checkpoint, half_flat):
        outcome = anyecg("run", "half_flat", "--model", checkpoint, "--json", "-o", "a.png")
        facts = json.loads(outcome.out)  # warnings went to stderr
        assert outcome.status == 0 and len(outcome.warnings) == 1
        analyzer = RecordAnalyzer(checkpoint)
        with pytest.warns(UserWarning, match="V1"):
            analysis = analyzer.analyse(read_record(half_flat))
        assert facts["codes"] == analysis.codes.tolist()
        assert (len(facts["codes"]), len(facts["codes"][0])) == (3, 40)
        assert facts["codes"][2] == [-1] * 40
        assert (facts["record"], facts["lead_names"]) == ("half_flat", ["I", "II", "V1"])
        assert (facts["sampling_rate"], facts["samples"], facts["duration_s"]) == (500.0, 5000, 10.0)
        assert facts["unusable_leads"] == [{"index": 2, "lead": "V1", "reason": "flat"}]
        assert facts["masked_patches"] == 0
        assert (facts["patch_s"], facts["windows"], facts["picture"]) == (0.25, 1, "a.png")
        assert facts["scale_mv"] == pytest.approx(analysis.cleaned.scale)
        assert facts["cleaning"] == list(analysis.cleaned.steps)
        assert [found["label"] for found in facts["classes"]] == list(DESCRIPTIONS)
        for found, expected in zip(facts["classes"], analysis.classes, strict=True):
            assert found["probability"] == pytest.approx(expected.probability)
            assert (found["description"], found["threshold"]) == (expected.description, expected.threshold)

    def test_unusable_leads_of_one_name_are_all_listed(self, anyecg, checkpoint, own_folder, counts):
        counts[1:] = 3
        np.save(own_folder / "a.npy", counts / 1000)
        reading = ("--sampling-rate", "500", "--unit", "mV", "--leads", "I,unknown,unknown")
        outcome = anyecg("run", "a.npy", "--model", checkpoint, "--json", "--no-picture", *reading)
        assert json.loads(outcome.out)["unusable_leads"] == [
            {"index": 1, "lead": "unknown", "reason": "flat"},
            {"index": 2, "lead": "unknown", "reason": "flat"},
        ]

    def test_without_a_picture_it_says_null(self, anyecg, checkpoint, record):
        out = anyecg("run", "rec", "--model", checkpoint, "--json", "--no-picture").out
        assert json.loads(out)["picture"] is None


class TestFormats:
    @pytest.fixture
    def codes(self, anyecg, checkpoint, record):
        return json.loads(anyecg("run", "rec", "--model", checkpoint, "--json", "--no-picture").out)["codes"]

    def test_csv_with_its_rate_and_unit(self, anyecg, checkpoint, own_folder, counts, codes):
        write_csv(own_folder / "a.csv", counts)
        options = ("--sampling-rate", "500", "--unit", "mV", "--json", "--no-picture")
        outcome = anyecg("run", "a.csv", "--model", checkpoint, *options)
        assert json.loads(outcome.out)["codes"] == codes

    def test_csv_with_other_names_of_its_leads(self, anyecg, checkpoint, own_folder, counts, codes):
        write_csv(own_folder / "a.csv", counts, header="one,two,three")
        options = ("--sampling-rate", "500", "--unit", "mV", "--leads", "I, II,V1", "--json", "--no-picture")
        facts = json.loads(anyecg("run", "a.csv", "--model", checkpoint, *options).out)
        assert (facts["lead_names"], facts["codes"]) == (["I", "II", "V1"], codes)

    def test_numpy_in_microvolts(self, anyecg, checkpoint, own_folder, counts, codes):
        np.save(own_folder / "a.npy", counts)
        options = ("--sampling-rate", "500", "--unit", "uV", "--leads", "I,II,V1", "--json", "--no-picture")
        assert json.loads(anyecg("run", "a.npy", "--model", checkpoint, *options).out)["codes"] == codes


READING = ("--sampling-rate", "500", "--unit", "mV", "--leads", "I,II,V1")


class TestBadRecords:
    @pytest.fixture
    def refused(self, anyecg, checkpoint):
        """The one line that a refused record gets."""

        def refused(*arguments) -> str:
            outcome = anyecg("run", *arguments, "--model", checkpoint)
            assert (outcome.status, outcome.out) == (1, "")
            assert len(outcome.errors) == 1
            return outcome.errors[0]

        return refused

    @pytest.fixture(autouse=True)
    def nothing_is_drawn(self, own_folder):
        yield
        assert not list(own_folder.rglob("*.png"))

    def test_missing_file(self, refused):
        assert refused("nowhere") == (
            "anyecg run: nowhere: expected a record: this file, or a WFDB header nowhere.hea, found neither."
        )

    def test_folder(self, refused, own_folder):
        (own_folder / "folder").mkdir()
        assert "folder: expected a record, found a folder" in refused("folder")

    def test_truncated_signal_file(self, refused, truncated):
        assert re.fullmatch(
            r"anyecg run: \S*truncated\.dat: expected 30000 bytes \(5000 samples of 3 signals in format 16\), found"
            r" 15000 bytes \(2500 samples\)\. The file is truncated: fetch it again\.",
            refused("truncated"),
        )

    def test_missing_signal_file(self, refused, record):
        record.with_name("rec.dat").unlink()
        assert re.search(r"rec\.dat: expected the signal file", refused("rec"))

    def test_header_that_points_outside_its_folder(self, refused, record):
        header = record.with_name("rec.hea")
        header.write_text(header.read_text().replace("rec.dat", "../rec.dat"))
        assert "../rec.dat" in refused("rec")

    def test_csv_without_a_sampling_rate(self, refused, own_folder, counts):
        write_csv(own_folder / "a.csv", counts)
        assert refused("a.csv", "--unit", "mV") == (
            "anyecg run: a.csv: expected a sampling rate, found none in the file. Pass it in Hz, for example"
            " sampling_rate=500 (command line: --sampling-rate 500)."
        )

    def test_csv_without_a_unit(self, refused, own_folder, counts):
        write_csv(own_folder / "a.csv", counts)
        assert "a.csv: expected a unit of the samples, found none in the file" in refused(
            "a.csv", "--sampling-rate", 500
        )

    @pytest.mark.parametrize("rate", ["0", "-500", "nan", "1e9"])
    def test_impossible_sampling_rate(self, refused, own_folder, counts, rate):
        write_csv(own_folder / "a.csv", counts)
        message = refused("a.csv", "--unit", "mV", f"--sampling-rate={rate}")
        assert "sampling_rate" in message and f"{float(rate):g}" in message.replace("1000000000.0", "1e+09")

    def test_unknown_unit(self, refused, own_folder, counts):
        write_csv(own_folder / "a.csv", counts)
        message = refused("a.csv", "--sampling-rate", "500", "--unit", "furlong")
        assert message == "anyecg run: unknown unit 'furlong': expected one of 'V', 'mV', 'uV', 'nV'."

    def test_no_usable_lead(self, refused, own_folder):
        write_wfdb(own_folder / "flat", np.zeros((2, 5000), dtype=np.int64))
        assert refused("flat") == "anyecg run: no lead of flat can be used: I is flat, II is flat."

    def test_microvolts_taken_for_millivolts(self, refused, own_folder, counts):
        np.save(own_folder / "a.npy", counts.astype(np.float32))
        assert re.search(r"no ECG exceeds 20 mV: these are probably microvolts", refused("a.npy", *READING))

    def test_samples_by_leads(self, refused, own_folder, counts):
        np.save(own_folder / "a.npy", counts.T / 1000)
        assert "which is (samples, leads). Transpose the array" in refused("a.npy", *READING)

    def test_too_short(self, refused, own_folder, counts):
        np.save(own_folder / "a.npy", counts[:, :40] / 1000)
        assert "the record is too short" in refused("a.npy", *READING)


class TestBadCheckpoints:
    @pytest.fixture
    def refused(self, anyecg, record):
        """The one line that a refused checkpoint gets."""

        def refused(model) -> str:
            outcome = anyecg("run", "rec", "--model", model, "--no-picture")
            assert (outcome.status, outcome.out, outcome.warnings) == (1, "", [])
            assert len(outcome.errors) == 1 and len(outcome.err.splitlines()) == 1
            return outcome.errors[0]

        return refused

    @pytest.fixture
    def copy(self, checkpoint, own_folder):
        shutil.copytree(checkpoint, own_folder / "copy")
        return own_folder / "copy"

    def test_missing_folder(self, refused, own_folder):
        assert refused(own_folder / "nowhere") == f"anyecg run: there is no checkpoint folder {own_folder / 'nowhere'}."

    def test_folder_that_is_no_checkpoint(self, refused, own_folder):
        (own_folder / "empty").mkdir()
        assert refused("empty") == (
            "anyecg run: empty is no AnyECG checkpoint: it lacks config.json and preprocessor_config.json."
        )

    def test_name_that_the_hub_cannot_be_asked_about(self, refused):
        assert "nobody/nothing" in refused("nobody/nothing")

    def test_no_quantizer(self, refused, copy):
        shutil.rmtree(copy / "quantizer")
        assert "this tokenizer has no quantizer" in refused(copy)

    def test_no_weights(self, refused, copy):
        (copy / "model.safetensors").unlink()
        assert "model.safetensors" in refused(copy)

    def test_damaged_weights(self, refused, copy):
        (copy / "model.safetensors").write_bytes(b"x" * 100)
        assert refused(copy).startswith(f"anyecg run: the weights of {copy} cannot be read")

    def test_lacking_weights(self, refused, copy):
        weights = load_file(copy / "model.safetensors")
        kept = {name: value for name, value in weights.items() if "layers.0" not in name}
        save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
        assert re.search(r"lacks 16 weights of AnyECGForSequenceClassification", refused(copy))

    def test_impossible_configuration(self, refused, copy):
        config = (copy / "config.json").read_text()
        (copy / "config.json").write_text(config.replace('"hidden_size": 32', '"hidden_size": 33'))
        assert "`hidden_size` (33) must be a multiple of `num_attention_heads` (2)" in refused(copy)

    def test_broken_configuration(self, refused, copy):
        (copy / "config.json").write_text("{")
        assert "config.json" in refused(copy)


class TestUsage:
    @pytest.mark.parametrize("device, reason", [("nonsense", "device"), ("cuda:99", "")])
    def test_a_device_that_is_not_there_is_wrong_usage(self, anyecg, checkpoint, record, device, reason):
        outcome = anyecg("run", "rec", "--model", checkpoint, "--device", device)
        assert outcome.status == 2
        assert f"argument --device: torch cannot use '{device}' here: " in outcome.err and reason in outcome.err

    def test_an_impossible_window_is_refused(self, anyecg, checkpoint, record):
        outcome = anyecg("run", "rec", "--model", checkpoint, "--window", "-3")
        assert outcome.errors == ["anyecg run: the window must be a positive number of seconds, got -3."]
        assert outcome.status == 1

    def test_the_command_shows_no_traceback(self, checkpoint, half_flat, truncated, own_folder):
        # In a process of its own, where nothing of this one hides what Python and the libraries print.
        script = (
            "import sys; from anyecg_hf.cli.main import main\n"
            "for record in ('truncated', 'half_flat'):\n"
            "    status = main(['run', record, '--no-picture', '--model', sys.argv[1]])\n"
            "    print('status', status, file=sys.stderr)"
        )
        finished = subprocess.run(
            [sys.executable, "-c", script, str(checkpoint)], capture_output=True, text=True, cwd=own_folder, check=True
        )
        error, first, warning, second = finished.stderr.splitlines()
        assert error.startswith("anyecg run: ") and "truncated.dat: expected 30000 bytes" in error
        assert (first, second) == ("status 1", "status 0")
        assert warning == "Warning: unusable leads are masked: V1 (flat)."
        assert finished.stdout.splitlines()[-1] == DISCLAIMER
