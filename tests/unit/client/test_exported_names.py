"""The names that user code imports from `opstrand.client` and from the `polyaxon` shim.

A removed name breaks programs: remove none. Add a new one here once it is meant to stay.
"""

from __future__ import annotations

import inspect

import opstrand.client
from opstrand.client import ClientError, RunClient, tracking

EXPORTED = [
    "ApiError",
    "ClientError",
    "NotManaged",
    "NotSupported",
    "RunClient",
    "Unreachable",
    "tracking",
]
OF_TRACKING = ["TRACKING_RUN", "ClientError", "Run", "end", "get_or_create_run", "init"]
#: Methods and attributes of `RunClient` that do something; `client/missing.py` lists those that
#: raise NotSupported.
OF_RUN_CLIENT = """
approve artifacts_lineage artifacts_store client create create_from_hub create_from_polyaxonfile
create_from_url delete end flush get_artifacts_lineage get_events get_inputs get_logs
get_metrics get_multi_run_events get_namespace get_outputs get_statuses invalidate list
list_children log_artifact_lineage log_artifact_ref log_code_ref log_data_ref log_dir_ref log_failed
log_file_ref log_inputs log_meta log_metric log_metrics log_model_ref log_outputs log_progress
log_status log_stopped log_succeeded log_tags log_tensorboard_ref namespace refresh_data
reset_client restart resume run_data set_description set_name set_owner set_project set_readme
set_run_edges_lineage set_run_uuid settings skip start status stop store sync_events_summaries
sync_system_events_summaries team update wait_for_condition watch_logs watch_statuses
"""
#: What `tracking.Run` has besides.
OF_RUN = """
get_artifacts_path get_log_level get_outputs_path get_tensorboard_path log_altair_chart log_artifact
log_audio log_bokeh_chart log_confusion_matrix log_curve log_dataframe log_env log_histogram
log_html log_image log_image_with_boxes log_model log_mpl_image log_mpl_plotly_chart
log_np_histogram log_plotly_chart log_pr_curve log_roc_auc_curve log_sklearn_pr_curve
log_sklearn_roc_auc_curve log_text log_trace log_video set_artifacts_path set_run_event_logger
set_run_logs_logger set_run_process_sidecar set_run_resource_logger sync_artifacts_and_summaries
"""


def offered(of: type) -> set[str]:
    """Return its public names, without those that only raise NotSupported."""
    found = inspect.getmembers(of)
    return {
        name
        for name, one in found
        if not name.startswith("_") and "_make_missing" not in getattr(one, "__qualname__", "")
    }


def test_the_package_exports_these_names() -> None:
    assert opstrand.client.__all__ == EXPORTED
    assert tracking.__all__ == OF_TRACKING
    assert all(hasattr(opstrand.client, name) for name in EXPORTED)
    assert all(hasattr(tracking, name) for name in OF_TRACKING)


def test_the_run_clients_offer_these_names() -> None:
    assert sorted(offered(RunClient)) == OF_RUN_CLIENT.split()
    assert sorted(offered(tracking.Run) - offered(RunClient)) == OF_RUN.split()


def test_every_error_is_a_client_error() -> None:
    errors = [
        getattr(opstrand.client, name) for name in EXPORTED if name not in ("RunClient", "tracking")
    ]
    assert all(issubclass(error, ClientError) for error in errors)
