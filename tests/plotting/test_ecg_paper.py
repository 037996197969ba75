# Copyright 2026 The anyecg_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The figure: true to scale, everything labelled, nothing drawn that is not there."""

from io import BytesIO

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread
from tests.fresh_process import in_fresh_process

from anyecg_hf.plotting import plot_ecg, save_figure
from anyecg_hf.plotting.ecg_paper import png_bytes

MM_PER_INCH = 25.4


def texts(artists) -> list[str]:
    return [artist.get_text() for artist in artists]


def footer(drawn, figure) -> str:
    return " ".join(texts(drawn(figure, "footer")))


def test_one_unit_of_the_axes_is_one_millimetre_of_the_page(twelve_leads, standard_leads):
    figure = plot_ecg(twelve_leads, 500, standard_leads)
    to_pixels = figure.axes[0].transData.transform
    step = to_pixels((1, 1)) - to_pixels((0, 0))
    np.testing.assert_allclose(np.abs(step), figure.dpi / MM_PER_INCH, rtol=1e-9)


def test_small_squares_are_40_ms_and_a_tenth_of_a_millivolt_and_large_ones_five_of_them(two_leads, drawn):
    figure = plot_ecg(two_leads, 250, ["MLII", "V5"])
    (trace, _) = drawn(figure, "record")
    xs, ys = trace.get_data()
    signal = two_leads[0, :2500]
    mm_per_second = (xs[250] - xs[0]) / 1.0
    mm_per_mv = (ys.max() - ys.min()) / (signal.max() - signal.min())
    for gid, seconds, millivolts in (("small-grid", 0.04, 0.1), ("large-grid", 0.2, 0.5)):
        (grid,) = drawn(figure, gid)
        segments = np.array(grid.get_segments())
        vertical = segments[segments[:, 0, 0] == segments[:, 1, 0], 0, 0]
        horizontal = segments[segments[:, 0, 1] == segments[:, 1, 1], 0, 1]
        np.testing.assert_allclose(np.diff(vertical), seconds * mm_per_second, rtol=1e-6)
        np.testing.assert_allclose(np.diff(horizontal), millivolts * mm_per_mv, rtol=1e-5)


def test_baselines_and_starts_of_traces_lie_on_the_large_grid(two_leads, drawn):
    figure = plot_ecg(two_leads, 250, ["MLII", "V5"])
    (grid,) = drawn(figure, "large-grid")
    corner = np.array(grid.get_segments()).reshape(-1, 2).min(axis=0)
    for trace in drawn(figure, "record"):
        xs, ys = trace.get_data()
        assert (xs[0] - corner[0]) % 5 == pytest.approx(0)
        assert (np.median(ys) - corner[1]) % 5 == pytest.approx(0)


def test_the_calibration_pulse_is_one_millivolt_for_a_fifth_of_a_second_in_every_row(
    twelve_leads, standard_leads, drawn
):
    pulses = drawn(plot_ecg(twelve_leads, 500, standard_leads), "calibration-pulse")
    assert len(pulses) == 4
    for pulse in pulses:
        xs, ys = pulse.get_data()
        assert np.ptp(ys) == 10
        assert np.ptp(xs[ys == ys.min()]) == 5


def test_twelve_leads_in_any_order_take_the_standard_layout_with_a_strip_of_lead_two(
    twelve_leads, standard_leads, drawn
):
    order = [11, 3, 0, 7, 1, 9, 5, 2, 10, 4, 8, 6]
    figure = plot_ecg(twelve_leads[order], 500, [standard_leads[lead] for lead in order])
    rows = "I aVR V1 V4 II aVL V2 V5 III aVF V3 V6 II".split()
    assert texts(drawn(figure, "lead-name")) == rows
    assert texts(drawn(figure, "column-time")) == ["0 to 2.5 s", "2.5 to 5 s", "5 to 7.5 s", "7.5 to 10 s"]
    widths = [np.ptp(trace.get_xdata()) for trace in drawn(figure, "record")]
    np.testing.assert_allclose(widths, [62.5 - 0.05] * 12 + [250 - 0.05], rtol=1e-6)


def test_columns_of_a_short_record_show_the_same_seconds_and_say_so(twelve_leads, standard_leads, drawn):
    figure = plot_ecg(twelve_leads[:, :1500], 500, standard_leads)
    assert texts(drawn(figure, "column-time")) == ["0 to 2.5 s"] * 4
    assert "All columns show the same seconds (short record)" in footer(drawn, figure)
    assert np.ptp(drawn(figure, "record")[-1].get_xdata()) == pytest.approx(75 - 0.05)


def test_the_rhythm_strip_shows_another_lead_by_name_where_lead_two_is_unusable(twelve_leads, standard_leads, drawn):
    names = texts(drawn(plot_ecg(twelve_leads, 500, standard_leads, unusable={1: "flat"}), "lead-name"))
    assert names[-1] == "V1"
    assert names[4] == "II unusable: flat"


@pytest.mark.parametrize("lead_names", [["ECG"], ["MLII", "V5"], ["I", "II", "III", "VX", "VY", "VZ"]])
def test_other_sets_of_leads_have_one_row_a_lead(lead_names, drawn):
    signal = np.zeros((len(lead_names), 3000), dtype=np.float32)
    figure = plot_ecg(signal, 300, lead_names)
    assert texts(drawn(figure, "lead-name")) == lead_names
    assert len(drawn(figure, "record")) == len(drawn(figure, "calibration-pulse")) == len(lead_names)


def test_the_window_begins_at_start_s_and_lasts_duration_s(two_leads, drawn):
    figure = plot_ecg(two_leads, 250, ["MLII", "V5"], start_s=12.5, duration_s=6)
    trace = drawn(figure, "record")[0]
    assert len(trace.get_xdata()) == 1500
    assert texts(drawn(figure, "time-label")) == [f"{second} s" for second in range(13, 19)]
    assert "Shown: 12.5 to 18.5 s of 20 s" in footer(drawn, figure)
    peak_s = 12.5 + (trace.get_xdata()[trace.get_ydata().argmin()] - trace.get_xdata()[0]) / 25
    assert peak_s % 1.0 == pytest.approx(0.5, abs=0.01)


def test_codes_of_twelve_leads_lie_below_the_leads_one_cell_a_patch(twelve_leads, standard_leads, drawn):
    codes = np.arange(120).reshape(12, 10)
    figure = plot_ecg(twelve_leads, 500, standard_leads, codes=codes)
    cells = drawn(figure, "code-cell")
    assert len(cells) == 120
    assert texts(drawn(figure, "code-number")) == [str(code) for code in range(120)]
    assert texts(drawn(figure, "strip-label")) == standard_leads
    assert all(cell.get_width() == pytest.approx(25) for cell in cells)
    assert cells[0].get_x() == drawn(figure, "record")[0].get_xdata()[0]


def test_codes_of_other_leads_lie_under_their_own_trace(two_leads, drawn):
    figure = plot_ecg(two_leads, 250, ["MLII", "V5"], codes=np.arange(40).reshape(2, 20), start_s=3.5, duration_s=5)
    cells = drawn(figure, "code-cell")
    assert texts(drawn(figure, "code-number")) == [str(code) for code in [*range(3, 9), *range(23, 29)]]
    assert [cell.get_width() for cell in cells[:6]] == pytest.approx([12.5, 25, 25, 25, 25, 12.5])
    first, second = (trace.get_ydata().max() for trace in drawn(figure, "record"))
    assert first < cells[0].get_y() < second < cells[6].get_y()


def test_masked_patches_are_hatched_have_no_number_and_enter_the_legend(two_leads, drawn):
    codes = np.array([[4, -1, 4], [-1, -1, 9]])
    figure = plot_ecg(two_leads[:, :750], 250, ["MLII", "V5"], codes=codes)
    masked = drawn(figure, "masked-cell")
    assert len(masked) == 3
    assert all(cell.get_hatch() for cell in masked)
    coded = drawn(figure, "code-cell")
    assert coded[0].get_facecolor() == coded[1].get_facecolor() != coded[2].get_facecolor()
    assert texts(drawn(figure, "code-number")) == ["4", "4", "9"]
    assert texts(figure.axes[0].get_legend().get_texts()) == ["Record", "Masked patch"]


def test_of_residual_codes_the_first_codebook_is_shown_and_the_figure_says_so(two_leads, drawn):
    codes = np.stack([np.full((2, 20), 7), np.full((2, 20), 300)], axis=-1)
    figure = plot_ecg(two_leads, 250, ["MLII", "V5"], codes=codes)
    assert set(texts(drawn(figure, "code-number"))) == {"7"}
    assert "index of the rhythm code in the first of 2 codebooks" in footer(drawn, figure)


def test_the_reconstruction_lies_on_the_record_and_nothing_of_it_is_drawn_where_codes_are_masked(two_leads, drawn):
    codes = np.zeros((2, 20), dtype=np.int64)
    codes[0, 2] = -1
    reconstruction = two_leads - two_leads.mean(axis=1, keepdims=True)
    reconstruction[0, 500:750] = 0
    arguments = {"reconstruction_mv": reconstruction, "reconstruction_rate": 250, "codes": codes}
    figure = plot_ecg(two_leads, 250, ["MLII", "V5"], **arguments)
    records, reconstructions = drawn(figure, "record"), drawn(figure, "reconstruction")
    ys = reconstructions[0].get_ydata()
    assert np.flatnonzero(np.isnan(ys)).tolist() == list(range(500, 750))
    np.testing.assert_allclose(ys[:500], records[0].get_ydata()[:500], atol=1e-3)
    assert reconstructions[0].get_color() != records[0].get_color()
    labels = texts(figure.axes[0].get_legend().get_texts())
    assert labels[:2] == ["Record", "Reconstruction from its rhythm codes"]


def test_a_reconstruction_that_runs_on_into_padding_ends_with_the_record(two_leads, drawn):
    figure = plot_ecg(two_leads[:, :1200], 250, ["MLII", "V5"], reconstruction_mv=np.ones((2, 1500)))
    assert len(drawn(figure, "reconstruction")[0].get_xdata()) == 1440


def test_unusable_leads_are_grey_labelled_and_without_reconstruction(two_leads, drawn):
    figure = plot_ecg(two_leads, 250, ["MLII", "V5"], unusable={1: "flat"}, reconstruction_mv=np.ones((2, 6000)))
    assert texts(drawn(figure, "lead-name")) == ["MLII", "V5 unusable: flat"]
    assert [len(drawn(figure, gid)) for gid in ("record", "reconstruction", "unusable")] == [1, 1, 1]
    assert "Unusable: V5 (flat)." in footer(drawn, figure)


def test_a_record_of_missing_samples_only_is_an_empty_page_not_an_error(standard_leads, drawn):
    signal = np.full((12, 5000), np.nan, dtype=np.float32)
    figure = plot_ecg(signal, 500, standard_leads, unusable=dict.fromkeys(range(12), "no samples"))
    assert len(drawn(figure, "unusable")) == 13
    assert "V5, V6 (no samples)." in footer(drawn, figure)


def test_missing_samples_leave_gaps(two_leads, drawn):
    two_leads[0, 100:200] = np.nan
    two_leads[0, 300] = np.inf
    ys = drawn(plot_ecg(two_leads, 250, ["MLII", "V5"]), "record")[0].get_ydata()
    assert np.flatnonzero(np.isnan(ys)).tolist() == [*range(100, 200), 300]


def test_rows_do_not_overlap_however_large_the_leads(drawn):
    signal = np.random.default_rng(0).normal(0, 1, (6, 3000)).cumsum(axis=1).astype(np.float32)
    figure = plot_ecg(signal, 300, list("abcdef"))
    bands = [(trace.get_ydata().min(), trace.get_ydata().max()) for trace in drawn(figure, "record")]
    assert all(above[1] < below[0] for above, below in zip(bands[:-1], bands[1:], strict=True))


def test_large_leads_halve_the_gain_for_all_and_the_footer_states_it(two_leads, drawn):
    figure = plot_ecg(two_leads * [[6], [1]], 250, ["MLII", "V5"])
    assert "25 mm/s, 5 mm/mV (reduced from 10 to fit the amplitudes)" in footer(drawn, figure)
    assert "a small square is 0.04 s and 0.2 mV" in footer(drawn, figure)
    assert all(np.ptp(pulse.get_ydata()) == 5 for pulse in drawn(figure, "calibration-pulse"))


def test_a_spike_is_clipped_and_marked_and_changes_no_scale(two_leads, drawn):
    two_leads[0, 1000:1003] += 60
    figure = plot_ecg(two_leads, 250, ["MLII", "V5"])
    (mark,) = drawn(figure, "clipped")
    assert len(mark.get_xdata()) == 1
    assert "25 mm/s, 10 mm/mV:" in footer(drawn, figure)
    assert "Clipped beyond 4 mV: MLII." in footer(drawn, figure)


def test_every_figure_states_its_scale_and_that_it_is_no_medical_device(two_leads, drawn):
    text = footer(drawn, plot_ecg(two_leads, 250, ["MLII", "V5"]))
    assert text.startswith("25 mm/s, 10 mm/mV: a small square is 0.04 s and 0.1 mV")
    assert "not a medical device" in text


def test_lead_names_lie_above_their_own_trace(two_leads, drawn):
    two_leads[:, :50] += 1.5
    figure = plot_ecg(two_leads, 250, ["MLII", "V5"])
    for name, trace in zip(drawn(figure, "lead-name"), drawn(figure, "record"), strict=True):
        box = name.get_window_extent().transformed(figure.axes[0].transData.inverted())
        xs, ys = trace.get_data()
        under = ys[(xs > box.x0) & (xs < box.x1)]
        assert under.min() > max(box.y0, box.y1)


def test_titles_are_written_as_they_are_and_wrapped(two_leads, drawn):
    title = "record $1_2$ " * 30
    figure = plot_ecg(two_leads, 250, ["MLII", "V5"], title=title, subtitle="one\ntwo")
    lines = drawn(figure, "title")
    assert " ".join(texts(lines)) == title.strip()
    assert all(line.get_window_extent().x1 < figure.bbox.x1 for line in lines)
    assert texts(drawn(figure, "subtitle")) == ["one", "two"]


def test_a_png_has_six_pixels_a_millimetre_and_shows_something(twelve_leads, standard_leads, tmp_path):
    figure = plot_ecg(twelve_leads, 500, standard_leads, codes=np.arange(120).reshape(12, 10))
    path = tmp_path / "record.png"
    save_figure(figure, path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pixels = imread(path)
    assert pixels.shape[1] == 290 * 6
    assert pixels.shape[0] == round(figure.get_size_inches()[1] * MM_PER_INCH * 6)
    dark = (pixels[..., :3].max(axis=-1) < 0.3).mean()
    assert 0.001 < dark < 0.2
    colours = np.round(pixels[..., :3] * 255).astype(np.int64) @ [1 << 16, 1 << 8, 1]
    assert len(np.unique(colours)) > 100


@pytest.mark.parametrize("pixels_a_mm", [6, 8])
def test_a_png_in_memory_has_whole_pixels_a_millimetre_whatever_the_users_settings(two_leads, pixels_a_mm):
    figure = plot_ecg(two_leads, 250, ["I", "II"])
    with matplotlib.rc_context({"savefig.dpi": 50, "savefig.bbox": "tight", "savefig.facecolor": "black"}):
        picture = imread(BytesIO(png_bytes(figure, pixels_a_mm)))
    size_mm = figure.get_size_inches() * 25.4
    assert picture.shape[:2] == tuple(np.round(size_mm[::-1] * pixels_a_mm).astype(int))
    assert (picture[0, :, :3] == 1).all()


def test_the_users_matplotlib_settings_do_not_change_the_scale(two_leads, tmp_path):
    figure = plot_ecg(two_leads, 250, ["MLII", "V5"])
    save_figure(figure, tmp_path / "plain.png")
    with matplotlib.rc_context({"savefig.bbox": "tight", "savefig.dpi": 40}):
        save_figure(figure, tmp_path / "settings.png")
    np.testing.assert_array_equal(imread(tmp_path / "plain.png"), imread(tmp_path / "settings.png"))


def test_saving_refuses_other_endings_and_missing_folders(two_leads, tmp_path):
    figure = plot_ecg(two_leads, 250, ["MLII", "V5"])
    with pytest.raises(ValueError, match=r"written as \.png, \.pdf, \.svg; got the path .*record\.bmp"):
        save_figure(figure, tmp_path / "record.bmp")
    with pytest.raises(FileNotFoundError, match="its folder .*nowhere does not exist"):
        save_figure(figure, tmp_path / "nowhere" / "record.png")


def test_pyplot_and_its_global_state_are_not_needed(tmp_path):
    script = f"""
        import sys
        sys.modules["matplotlib.pyplot"] = None
        import numpy as np
        from anyecg_hf.plotting import plot_ecg, save_figure
        save_figure(plot_ecg(np.zeros((2, 500)), 250, ["MLII", "V5"]), {str(tmp_path / "record.png")!r})
    """
    assert in_fresh_process(script) == ""
    assert (tmp_path / "record.png").exists()


def test_without_matplotlib_the_error_names_the_extra_to_install():
    script = """
        import sys
        sys.modules["matplotlib"] = None
        try:
            import anyecg_hf.plotting
        except ImportError as error:
            print(error)
    """
    assert 'pip install "anyecg-hf[plot]"' in in_fresh_process(script)


@pytest.mark.parametrize(
    ("record", "rows"),
    [("ptb-xl/records500/00000/00001_hr", 13), ("mitdb/100", 2), ("challenge-2017/training2017/A00001", 1)],
)
def test_real_records_fit_the_paper_at_full_scale(record, rows, records_dir, drawn, tmp_path):
    wfdb = pytest.importorskip("wfdb")
    path = records_dir / record
    if not path.with_suffix(".hea").exists():
        pytest.skip(f"{record} is not among the test records")
    source = wfdb.rdrecord(str(path), sampto=10_000 if rows == 2 else None)
    figure = plot_ecg(source.p_signal.T.astype(np.float32), source.fs, source.sig_name, title=record)
    assert len(drawn(figure, "record")) == rows
    assert "25 mm/s, 10 mm/mV:" in footer(drawn, figure)
    assert not drawn(figure, "clipped")
    save_figure(figure, tmp_path / "record.png")
    assert (tmp_path / "record.png").stat().st_size > 10_000
