"""Files that a program logs, and what it logs without a file: what the run's folder has then."""

from __future__ import annotations

import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.conftest import UUID, Api

from opstrand.client import guard, tracking

AT = "2026-01-01T00:00:00Z"
LINE = "2026-01-01 00:00:00+00:00"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "artifacts" / UUID
    found.mkdir(parents=True)
    return found


@pytest.fixture
def run(api: Api, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tracking.Run]:
    monkeypatch.setattr(guard, "_noted", set())
    made = tracking.Run(track_env=False)
    yield made
    assert made.flush(60)


class Picture:
    """As an image of PIL writes itself."""

    size = (3, 2)

    def save(self, place: str) -> None:
        Path(place).write_bytes(b"picture")


class Figure:
    """As a figure of matplotlib writes itself."""

    def savefig(self, file: Any, **options: str) -> None:
        file.write(options["format"].encode())


@pytest.mark.parametrize(
    ("call", "options", "event", "kept"),
    [
        ("log_image", {"data": b"bytes"}, '{"path":"assets/image/image.png"}', b"bytes"),
        (
            "log_image",
            {"data": Picture(), "name": "a/b"},
            '{"height":2,"width":3,"path":"assets/image/a__b.png"}',
            b"picture",
        ),
        ("log_mpl_image", {"data": Figure()}, '{"path":"assets/image/figure.png"}', b"png"),
        (
            "log_video",
            {"data": b"frames", "step": 7},
            '{"path":"assets/video/video_7.gif","content_type":"gif"}',
            b"frames",
        ),
        ("log_audio", {"data": b"sound"}, '{"path":"assets/audio/audio.wav"}', b"sound"),
    ],
)
def test_what_is_kept(
    run: tracking.Run, folder: Path, call: str, options: dict[str, Any], event: str, kept: bytes
) -> None:
    getattr(run, call)(timestamp=AT, **options)
    (file,) = (folder / "events").rglob("*.plx")
    step = options.get("step", "")
    assert file.read_text() == f"step|timestamp|{file.parent.name}\n{step}|{LINE}|{event}"
    (asset,) = (one for one in (folder / "assets").rglob("*") if one.is_file())
    assert asset.read_bytes() == kept


def test_an_array_of_pixels_becomes_a_file(run: tracking.Run, folder: Path) -> None:
    run.log_image([[0, 255]], name="cat", dataformats="HW", timestamp=AT)
    assert (folder / "assets/image/cat.png").read_bytes().startswith(b"\x89PNG")
    assert (
        (folder / "events/image/cat.plx")
        .read_text()
        .endswith('{"height":1,"width":2,"colorspace":3,"path":"assets/image/cat.png"}')
    )


def test_samples_become_a_sound(run: tracking.Run, folder: Path) -> None:
    run.log_audio([0.0, 1.0, -2.0], name="tone", sample_rate=8000, timestamp=AT)
    with wave.open(str(folder / "assets/audio/tone.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert file.readframes(3) == b"\x00\x00\xff\x7f\x01\x80"
    assert (
        (folder / "events/audio/tone.plx")
        .read_text()
        .endswith(
            '{"sample_rate":8000.0,"num_channels":1,"length_frames":3,'
            '"path":"assets/audio/tone.wav","content_type":"audio/wav"}'
        )
    )


@pytest.mark.parametrize(
    ("call", "options", "said"),
    [
        ("log_image", {"data": "nowhere.png"}, "there is no file"),
        ("log_image", {"data": [[["x"]]]}, ""),
        ("log_video", {"data": [[1]]}, "needs the package moviepy"),
        ("log_histogram", {"name": "h", "values": [1], "bins": "auto"}, "needs the package numpy"),
        ("log_bokeh_chart", {"name": "c", "figure": 1}, "the package bokeh is needed"),
        ("log_sklearn_roc_auc_curve", {"name": "c", "y_preds": [], "y_targets": []}, "sklearn"),
        ("log_dataframe", {"df": 1, "name": "d", "content_type": "xml"}, "csv or html"),
        ("log_model", {"path": "/"}, "that the run's own folder is in"),
        ("log_artifact", {"path": "nowhere"}, "there is no file or folder"),
        ("log_text", {"name": "", "text": "x"}, "name is required"),
        ("log_text", {"name": "日本", "text": "x"}, "a letter or a digit of ASCII"),
        ("log_text", {"name": "x" * 10_000, "text": "x"}, "at most 200 characters"),
        ("log_text", {"name": "x", "text": "x", "step": 1.5}, "expected a whole number"),
        ("log_text", {"name": "x", "text": "x", "timestamp": "noon"}, "noon"),
    ],
)
def test_what_cannot_be_kept_is_said_once(
    run: tracking.Run,
    folder: Path,
    call: str,
    options: dict[str, Any],
    said: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    for _ in range(3):
        getattr(run, call)(**options)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"opstrand: {call}: ")
    assert said in line
    assert list(folder.rglob("*.plx")) == []


def test_a_model_without_a_step_is_copied_to_the_outputs(
    api: Api, run: tracking.Run, folder: Path, tmp_path: Path
) -> None:
    source = tmp_path / "m.tar.gz"
    source.write_text("m")
    for _ in range(2):
        run.log_model(source, framework="torch")
        run.log_artifact(folder / "outputs" / "m.tar.gz", name="again")  # it is there already
    assert (folder / "outputs" / "m.tar.gz").read_text() == "m"
    assert run.flush(60)
    found = {one["name"]: one for one in api.status["artifacts"]}
    assert (found["m"]["kind"], found["m"]["path"]) == ("model", "outputs/m.tar.gz")
    assert found["m"]["summary"]["framework"] == "torch"
    assert found["again"]["path"] == "outputs/m.tar.gz"
    assert api.status["meta"] == {"has_model": True}


def test_without_a_folder_nothing_is_kept(api: Api, tmp_path: Path) -> None:
    run = tracking.Run(track_env=False, artifacts_path=str(tmp_path / "nowhere"))
    run.log_image(b"bytes")
    run.log_text("a", "b")
    assert run.flush(60)
    assert not (tmp_path / "nowhere").exists()
