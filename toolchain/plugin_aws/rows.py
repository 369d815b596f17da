"""The whole table: every resource type that the stand-in carries."""

from typing import Final

from toolchain.plugin_aws import rows_compute, rows_data, rows_identity, rows_monitoring, rows_network
from toolchain.plugin_aws.table import Row

ROWS: Final[dict[str, Row]] = {
    row.token: row
    for rows in (rows_network.ROWS, rows_identity.ROWS, rows_compute.ROWS, rows_data.ROWS, rows_monitoring.ROWS)
    for row in rows
}
"""Rows by the token of their type."""
