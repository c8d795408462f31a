"""The methods of `tracking.Run` that keep files: images, sounds, videos, tables, models.

Owns where such a file goes: below `assets` with an event that names it, or below `outputs` with an
entry in the lineage table. A file of a format that the standard library cannot write is kept only
if the program made it.
"""

from __future__ import annotations

import os
import re
import sys
from array import array
from typing import TYPE_CHECKING, Any, Callable

from .errors import NotSupported
from .event_values import to_list, without_none
from .events import Events
from .guard import guard_reports, note
from .lineage import is_above

Json = dict[str, Any]
_FULL_SCALE = 32767


@guard_reports
class Media(Events):
    """The part of `tracking.Run` that keeps files."""

    if TYPE_CHECKING:
        # What `tracking.Run` gives these methods.
        def get_outputs_path(self, rel_path: str | None = None, **options: Any) -> str: ...
        def log_artifact_ref(self, path: str, **options: Any) -> None: ...
        def log_model_ref(self, path: str, **options: Any) -> None: ...

    def log_image(
        self,
        data: Any,
        name: str | None = None,
        step: Any = None,
        timestamp: Any = None,
        rescale: int = 1,
        dataformats: str = "CHW",
        ext: str | None = None,
    ) -> None:
        """Keep an image: a path, the bytes of a file, a PIL image, or an array of pixels."""
        if rescale != 1:
            note("log_image", "rescale is not supported, the image keeps its size")
        kept = _Kept("image", _is_path(data), name, ext or "png")
        facts: Json = {}
        if kept.is_path:
            self._keep(kept, step, lambda place: _copy(data, place))
        elif isinstance(data, (bytes, bytearray, memoryview)):
            self._keep(kept, step, lambda place: _write(place, data))
        elif hasattr(data, "save") and hasattr(data, "size"):  # an image of PIL
            self._keep(kept, step, data.save)
            facts = {"height": data.size[1], "width": data.size[0]}
        else:
            from .pixels import to_pixels, to_png

            image = to_pixels(data, dataformats)
            self._keep(kept, step, lambda place: _write(place, to_png(image)))
            facts = {"height": image.height, "width": image.width, "colorspace": image.channels}
        self._add_file(kept, {**facts, "path": kept.path}, step, timestamp)

    def log_image_with_boxes(self, tensor_image: Any, tensor_boxes: Any, **options: Any) -> None:
        """Keep the image; boxes are not drawn."""
        note("log_image_with_boxes", "boxes are not drawn, the image is kept without them")
        self.log_image(tensor_image, **{"name": "figure", **options})

    def log_mpl_image(
        self,
        data: Any,
        name: str | None = None,
        close: bool = True,
        step: Any = None,
        timestamp: Any = None,
    ) -> None:
        """Keep a figure of matplotlib, or each of several."""
        from io import BytesIO

        figures = data if isinstance(data, (list, tuple)) else [data]
        for index, one in enumerate(figures):
            figure = one.gcf() if hasattr(one, "gcf") else getattr(one, "figure", None) or one
            content = BytesIO()
            figure.savefig(content, format="png")
            each = f"{name or 'figure'}_{index}" if len(figures) > 1 else name or "figure"
            self.log_image(content.getvalue(), name=each, step=step, timestamp=timestamp)
            pyplot = sys.modules.get("matplotlib.pyplot")
            if close and pyplot is not None:
                pyplot.close(figure)

    def log_video(
        self,
        data: Any,
        name: str | None = None,
        fps: int = 4,
        step: Any = None,
        timestamp: Any = None,
        content_type: str | None = None,
    ) -> None:
        """Keep a video: a path, or the bytes of a file."""
        kept = _Kept("video", _is_path(data), name, content_type or "gif")
        self._keep_data(kept, data, step, "write the video to a file and log its path")
        value = {"path": kept.path, "content_type": kept.extension}
        self._add_file(kept, value, step, timestamp)

    def log_audio(
        self,
        data: Any,
        name: str | None = None,
        sample_rate: int = 44100,
        step: Any = None,
        timestamp: Any = None,
        content_type: str | None = None,
    ) -> None:
        """Keep a sound: a path, the bytes of a file, or samples from -1 to 1."""
        is_file = _is_path(data) or isinstance(data, (bytes, bytearray))
        extension = (content_type or "wav") if is_file else "wav"
        kept = _Kept("audio", _is_path(data), name, extension)
        if is_file:
            self._keep_data(kept, data, step, "")
            value = without_none(path=kept.path, content_type=content_type)
        else:
            samples = _to_samples(data)
            self._keep(kept, step, lambda place: _write_wave(place, samples, int(sample_rate)))
            value = {
                "sample_rate": float(sample_rate),
                "num_channels": 1,
                "length_frames": len(samples),
                "path": kept.path,
                "content_type": "audio/wav",
            }
        self._add_file(kept, value, step, timestamp)

    def log_dataframe(
        self,
        df: Any,
        name: str | None = None,
        content_type: Any = "csv",
        step: Any = None,
        timestamp: Any = None,
    ) -> None:
        """Keep a table that can write itself (`to_csv`, `to_html`), or the path of its file."""
        form = str(getattr(content_type, "value", content_type))
        if form not in ("csv", "html"):
            raise ValueError(f"content_type: expected csv or html, found {form!r:.40}")
        kept = _Kept("dataframe", _is_path(df), name, form)
        if kept.is_path:
            self._keep(kept, step, lambda place: _copy(df, place))
        else:
            self._keep(kept, step, df.to_csv if form == "csv" else df.to_html)
        value = {"path": kept.path, "content_type": form}
        self._add_file(kept, value, step, timestamp)

    def log_model(
        self,
        path: Any,
        name: str | None = None,
        framework: str | None = None,
        summary: Json | None = None,
        step: Any = None,
        timestamp: Any = None,
        rel_path: str | None = None,
        skip_hash_calculation: bool = False,
        **ignored: Any,
    ) -> None:
        """Copy a file or folder to the run's outputs; with a step, keep one for each step."""
        if step is None:
            facts = {"framework": framework, "summary": dict(summary or {})}
            self._keep_output(
                self.log_model_ref, path, name, rel_path, skip_hash_calculation, **facts
            )
            return
        kept = _Kept("model", self._check_source(path), name, "")
        self._keep(kept, step, lambda place: _copy(path, place))
        value = without_none(framework=framework, path=kept.path, spec=summary)
        self._add_file(kept, value, step, timestamp, "has_model")

    def log_artifact(
        self,
        path: Any,
        name: str | None = None,
        kind: Any = None,
        summary: Json | None = None,
        step: Any = None,
        timestamp: Any = None,
        rel_path: str | None = None,
        skip_hash_calculation: bool = False,
        **ignored: Any,
    ) -> None:
        """Copy a file or folder to the run's outputs; with a step, keep one for each step."""
        kind = str(getattr(kind, "value", kind) or "file")
        if step is None:
            facts = {"kind": kind, "summary": dict(summary or {})}
            self._keep_output(
                self.log_artifact_ref, path, name, rel_path, skip_hash_calculation, **facts
            )
            return
        kept = _Kept(self._to_name(kind), self._check_source(path), name, "")
        self._keep(kept, step, lambda place: _copy(path, place))
        self._add_file(kept, {"kind": kind, "path": kept.path}, step, timestamp)

    def _keep_output(
        self,
        report: Callable[..., None],
        path: Any,
        name: str | None,
        rel_path: str | None,
        skip_hash_calculation: bool,
        **facts: Any,
    ) -> None:
        if self._is_idle:
            return
        source = os.path.normpath(self._check_source(path))
        folder = self.get_outputs_path(rel_path, is_dir=True)
        place = os.path.join(folder, os.path.basename(source))
        _copy(source, place)
        report(
            place,
            name=name or os.path.basename(source).split(".")[0],
            rel_path=os.path.relpath(place, self._events_folder()),
            skip_hash_calculation=skip_hash_calculation,
            **facts,
        )

    def _check_source(self, path: Any) -> str:
        """Return the path of what is to be copied. Raises OSError and ValueError."""
        source = str(os.fspath(path))
        if not os.path.exists(source):
            raise FileNotFoundError(f"there is no file or folder {source!r:.200}")
        if is_above(source, self._events_folder()):
            raise ValueError(f"{source!r:.200} is a folder that the run's own folder is in")
        return source

    def _keep_data(self, kept: _Kept, data: Any, step: Any, instead: str) -> None:
        if kept.is_path:
            self._keep(kept, step, lambda place: _copy(data, place))
        elif isinstance(data, (bytes, bytearray)):
            self._keep(kept, step, lambda place: _write(place, data))
        else:
            raise NotSupported(f"an array needs the package moviepy; {instead}")

    def _keep(self, kept: _Kept, step: Any, write: Callable[[str], Any]) -> None:
        """Write the file below `assets`. Raises what writing it raises."""
        kept.name_it(self._to_name, step)
        if self._is_idle or self._open_series().is_off:
            return
        place = os.path.join(self._events_folder(), kept.path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        write(place)

    def _add_file(
        self, kept: _Kept, value: Json, step: Any, timestamp: Any, mark: str = "has_events"
    ) -> None:
        self._add_event(kept.kind, kept.name, value, step, timestamp, mark)


class _Kept:
    """A file below `assets`: its kind, its name, and where it is in the run's folder."""

    def __init__(self, kind: str, source: str, name: str | None, extension: str) -> None:
        self.kind, self.is_path, self.path = kind, bool(source), ""
        base, _, own = os.path.basename(os.path.normpath(source)).partition(".")
        is_file = bool(source) and not os.path.isdir(source)
        self.extension = re.sub(r"[^\w.+-]", "", own.lower() if is_file and own else extension)
        self.name = name or (base if source else kind)

    def name_it(self, to_name: Callable[[Any], str], step: Any) -> None:
        from .series import to_step

        self.name = to_name(self.name)
        number = to_step(step)
        file = self.name + (f"_{number}" if number else "")
        self.path = f"assets/{self.kind}/{file}" + (f".{self.extension}" if self.extension else "")


def _is_path(data: Any) -> str:
    """Return the path that was given; empty if something else was. Raises FileNotFoundError."""
    if not isinstance(data, (str, os.PathLike)):
        return ""
    path = str(os.fspath(data))
    if not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file {path!r:.200}")
    return path


def _copy(source: Any, place: str) -> None:
    import shutil

    if os.path.isdir(source):
        shutil.copytree(source, place, dirs_exist_ok=True)
    elif not (os.path.exists(place) and os.path.samefile(source, place)):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        shutil.copy(source, place)


def _write(place: str, data: Any) -> None:
    with open(place, "wb") as file:
        file.write(data)


def _to_samples(data: Any) -> array[int]:
    """Return samples of 16 bits; what is above 1 or below -1 is cut."""
    for name in ("detach", "cpu"):
        if hasattr(data, name):
            data = getattr(data, name)()
    samples = to_list(data.squeeze() if hasattr(data, "squeeze") else data)
    limited = (max(-1.0, min(1.0, float(one or 0))) for one in samples)
    return array("h", (int(_FULL_SCALE * one) for one in limited))


def _write_wave(place: str, samples: array[int], rate: int) -> None:
    import wave

    with wave.open(place, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
