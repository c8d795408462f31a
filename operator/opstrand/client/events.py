"""The methods of `tracking.Run` that log events which are one value: texts, curves, charts.

Owns which kind of event each is. Must not write a file: `series` does, and `media` has the events
that are files of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import event_values
from .batch import Report
from .errors import NotSupported
from .guard import guard_reports, note
from .metrics import METRICS_WITHIN, Metrics
from .values import to_json


@guard_reports
class Events(Metrics):
    """The part of `tracking.Run` that is about events of one value."""

    if TYPE_CHECKING:
        # What `tracking.Run` gives these methods.
        def log_inputs(self, **inputs: Any) -> None: ...
        def log_outputs(self, **outputs: Any) -> None: ...

        log_mpl_image: Any

    def _add_event(
        self, kind: str, name: Any, value: Any, step: Any, timestamp: Any, mark: str = "has_events"
    ) -> None:
        if self._is_idle:
            return
        self._open_series().add(kind, self._to_name(name), value, step, timestamp)
        report = self._mark(Report(), mark)
        if report:
            self._spool.add(report, within=METRICS_WITHIN)

    def log_text(self, name: str, text: str, step: Any = None, timestamp: Any = None) -> None:
        self._add_event("text", name, str(text), step, timestamp)

    def log_html(self, name: str, html: str, step: Any = None, timestamp: Any = None) -> None:
        self._add_event("html", name, str(html), step, timestamp)

    def log_curve(
        self,
        name: str,
        x: Any,
        y: Any,
        annotation: Any = None,
        step: Any = None,
        timestamp: Any = None,
    ) -> None:
        """Log a line through points."""
        value = event_values.curve("custom", x, y, annotation)
        self._add_event("curve", name, value, step, timestamp)

    def log_roc_auc_curve(
        self,
        name: str,
        fpr: Any,
        tpr: Any,
        auc: Any = None,
        step: Any = None,
        timestamp: Any = None,
    ) -> None:
        """Log a ROC curve from its points."""
        value = event_values.curve("roc", fpr, tpr, auc)
        self._add_event("curve", name, value, step, timestamp)

    def log_pr_curve(
        self,
        name: str,
        precision: Any,
        recall: Any,
        average_precision: Any = None,
        step: Any = None,
        timestamp: Any = None,
    ) -> None:
        """Log a curve of precision and recall from its points."""
        value = event_values.curve("pr", precision, recall, average_precision)
        self._add_event("curve", name, value, step, timestamp)

    def log_sklearn_roc_auc_curve(
        self,
        name: str,
        y_preds: Any,
        y_targets: Any,
        step: Any = None,
        timestamp: Any = None,
        is_multi_class: bool = False,
    ) -> None:
        """Compute a ROC curve by scikit-learn, and log it; of several classes one for each."""
        metrics = _load("sklearn.metrics", "log_roc_auc_curve() accepts the points")
        for each, preds, label in _by_class(name, y_preds, y_targets, is_multi_class):
            fpr, tpr, _ = metrics.roc_curve(y_targets, preds, pos_label=label)
            value = event_values.curve("roc", fpr, tpr, metrics.auc(fpr, tpr))
            self._add_event("curve", each, value, step, timestamp)

    def log_sklearn_pr_curve(
        self,
        name: str,
        y_preds: Any,
        y_targets: Any,
        step: Any = None,
        timestamp: Any = None,
        is_multi_class: bool = False,
    ) -> None:
        """Compute precision and recall by scikit-learn, and log them; of several classes each."""
        metrics = _load("sklearn.metrics", "log_pr_curve() accepts the points")
        for each, preds, label in _by_class(name, y_preds, y_targets, is_multi_class):
            precision, recall, _ = metrics.precision_recall_curve(y_targets, preds, pos_label=label)
            average = metrics.average_precision_score(y_targets, preds)
            value = event_values.curve("pr", precision, recall, average)
            self._add_event("curve", each, value, step, timestamp)

    def log_confusion_matrix(
        self, name: str, x: Any, y: Any, z: Any, step: Any = None, timestamp: Any = None
    ) -> None:
        """Log a matrix `z` with the names of its columns and rows."""
        self._add_event("confusion", name, event_values.confusion(x, y, z), step, timestamp)

    def log_np_histogram(
        self, name: str, values: Any, counts: Any, step: Any = None, timestamp: Any = None
    ) -> None:
        """Log what `numpy.histogram` returned: the bins and their edges."""
        value = event_values.counted_histogram(values, counts)
        self._add_event("histogram", name, value, step, timestamp)

    def log_histogram(
        self,
        name: str,
        values: Any,
        bins: Any = 10,
        max_bins: int | None = None,
        step: Any = None,
        timestamp: Any = None,
    ) -> None:
        """Count values in bins, and log that. `bins`: how many, or their edges."""
        value = event_values.histogram(values, bins, max_bins)
        self._add_event("histogram", name, value, step, timestamp)

    def log_plotly_chart(
        self, name: str, figure: Any, step: Any = None, timestamp: Any = None
    ) -> None:
        text = figure if isinstance(figure, str) else figure.to_json()
        self._add_chart("plotly", name, json.loads(text), step, timestamp)

    def log_bokeh_chart(
        self, name: str, figure: Any, step: Any = None, timestamp: Any = None
    ) -> None:
        embed = _load("bokeh.embed", "log_html() accepts the chart as a page")
        self._add_chart("bokeh", name, embed.json_item(figure), step, timestamp)

    def log_altair_chart(
        self, name: str, figure: Any, step: Any = None, timestamp: Any = None
    ) -> None:
        self._add_chart("vega", name, figure.to_dict(), step, timestamp)

    def log_mpl_plotly_chart(
        self,
        name: str,
        figure: Any,
        step: Any = None,
        timestamp: Any = None,
        close: bool = True,
        fallback_to_image: bool = True,
    ) -> None:
        """Log a figure of matplotlib as a chart of plotly, else as an image."""
        try:
            tools = _load("plotly.tools", "log_mpl_image() accepts the figure")
            chart = json.loads(tools.mpl_to_plotly(figure).to_json())
        except Exception as error:
            if not fallback_to_image:
                raise
            note("log_mpl_plotly_chart", error)
            self.log_mpl_image(figure, name=name, close=close, step=step, timestamp=timestamp)
            return
        self._add_chart("plotly", name, chart, step, timestamp)

    def _add_chart(self, kind: str, name: Any, figure: Any, step: Any, timestamp: Any) -> None:
        value = {"kind": kind, "figure": to_json(figure)}
        self._add_event("chart", name, value, step, timestamp)

    def log_trace(self, span: Any, step: Any = None, timestamp: Any = None) -> None:
        """Log a span: a mapping with `name`, `inputs`, `outputs`, ..., or its object."""
        if not span:
            return
        facts = span if isinstance(span, Mapping) else span.to_dict()
        value = {key: one for key, one in to_json(dict(facts)).items() if one is not None}
        self._add_event("span", value.get("name") or "trace", value, step, timestamp, "has_traces")
        for report, values in ((self.log_inputs, "inputs"), (self.log_outputs, "outputs")):
            if value.get(values):
                report(**value[values])


def _load(module: str, instead: str) -> Any:
    """Return a module of another package. Raises NotSupported."""
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise NotSupported(f"the package {package} is needed for it; {instead}") from None


def _by_class(name: str, preds: Any, targets: Any, is_multi_class: bool) -> list[Any]:
    if not is_multi_class:
        return [(name, preds, None)]
    labels = sorted(set(event_values.to_list(targets)))
    return [(f"{name}_{at}", preds[:, at], label) for at, label in enumerate(labels)]
