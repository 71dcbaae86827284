"""The report of a release: one HTML file that an executive reads and a statistician audits."""

from baserate.release.report.build import report_data
from baserate.release.report.data import Change, Figure, LabelsOf, ReportData, RowsOf
from baserate.release.report.render import render_report

__all__ = [
    "Change",
    "Figure",
    "LabelsOf",
    "ReportData",
    "RowsOf",
    "render_report",
    "report_data",
]
