"""`opstrand ls`."""

from __future__ import annotations

from opstrand.cli.command import command, execute
from opstrand.cli.listing import Listing, listing_options, show_list, watch_list
from opstrand.cli.options import Target, local_or_cluster_options, output_option, watch_option


@command
@local_or_cluster_options
@listing_options
@watch_option
@output_option("table", "wide", "json", "yaml", "name", "jsonpath=")
def ls(target: Target, listing: Listing, watch: bool, output: str) -> int:
    """List runs.

    The newest come first. The runs that a pipeline made are left out; CHILDREN counts those of them
    that have ended.
    """
    return execute((watch_list if watch else show_list)(target, listing, output))
