"""Raw logging tables to interactions: one row per interaction, every other row with a reason."""

from baserate.records.build import BuiltRecords, build_records
from baserate.records.check import check_mapping
from baserate.records.content import content_digest
from baserate.records.files import log_files

__all__ = ["BuiltRecords", "build_records", "check_mapping", "content_digest", "log_files"]
