"""Opening Spark: a session on this machine, one on a server, or one that is there already."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baserate.terms.errors import EngineError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_INSTALL = "pip install 'baserate[spark]'"
#: What makes results those of any other engine, whatever the site has set.
_MEANING = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
}
#: Plans are shown in Spark's own pages and logs; the key of pseudonyms is not.
_UNSEEN = {"spark.sql.redaction.string.regex": "(?i)[0-9a-f]{128}"}
#: Of a session of our own on this machine.
_LOCAL = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}
#: Classes that Spark makes of queries. A day has more than the hundred that it keeps by itself,
#: so that the next day would compile them all again.
_COMPILED_AT_MOST = "1000"
#: How often a server that does not answer is asked again, after 0.05, 0.2, 0.8, ... seconds.
KNOCKS = 6
_JAVA_OPTIONS = "-Duser.timezone=UTC"
#: Spark's own story is not the reader's; errors reach them as exceptions. Its log of a failed
#: task would quote the value that it failed on.
_LOGGING = """rootLogger.level = fatal
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n
"""
_PYTHON_LOGGERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")


def java_fault() -> str | None:
    """Why a session cannot run on this machine; None if it can."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None or not Path(java).is_file():
        return "no Java: JAVA_HOME is not set and java is not on the PATH"
    try:
        subprocess.run([java, "-version"], capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{java} does not run ({type(error).__name__})"
    return None


def spark_fault() -> str | None:
    """Why pyspark cannot be used; None if it can."""
    try:
        import pyspark
    except ImportError:
        return "pyspark is not installed"
    known = tuple(int(part) for part in pyspark.__version__.split(".")[:1])
    return None if known >= (4,) else f"pyspark {pyspark.__version__}, older than 4.0"


def session_is_open() -> bool:
    """Whether this process has a Spark session already."""
    if spark_fault() is not None:
        return False
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession() is not None


def java_has_ended() -> bool:
    """Whether the Java that this process started for Spark is gone: killed, or out of memory."""
    from pyspark import SparkContext

    process = getattr(getattr(SparkContext, "_gateway", None), "proc", None)
    if process is None:
        return False
    with suppress(subprocess.TimeoutExpired):  # one that breaks off is not quite gone at once
        process.wait(0.5)
    return process.poll() is not None


def own_session(master: str, memory: str, scratch: Path, options: dict[str, str]) -> SparkSession:
    """A session on this machine (``local[2]``) or of a cluster's master.

    Raises: EngineError if pyspark or Java is missing, or Spark does not start.
    """
    _check_pyspark()
    if (fault := java_fault()) is not None:
        raise EngineError(
            "Spark needs Java on this machine",
            code="java_missing",
            expected="Java 17 or 21",
            got=fault,
            hint="install it (Debian: apt-get install openjdk-17-jre-headless), or name a Spark "
            "Connect server with BASERATE_SPARK_REMOTE=sc://host:15002",
        )
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    logging_file = scratch / "log4j2.properties"
    logging_file.write_text(_LOGGING)
    own_options = options.get("spark.driver.extraJavaOptions", "")
    java = f"{_JAVA_OPTIONS} -Dlog4j2.configurationFile=file:{logging_file} {own_options}"
    settings = {
        **(_LOCAL if master.startswith("local") else {}),
        "spark.driver.memory": memory,
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
        "spark.sql.codegen.cache.maxEntries": _COMPILED_AT_MOST,
        **_UNSEEN,
        **_MEANING,
        **options,
        "spark.driver.extraJavaOptions": java.strip(),
    }
    from pyspark.sql import SparkSession

    builder: Any = SparkSession.builder
    return _started(builder.appName("baserate").master(master), settings, master)


def remote_session(remote: str, options: dict[str, str]) -> SparkSession:
    """A session of a Spark Connect server (``sc://host:15002``). Raises: EngineError."""
    _check_pyspark()
    from pyspark.sql import SparkSession

    builder: Any = SparkSession.builder
    session = _started(builder.remote(remote), options, remote)
    _knock_few_times(session)
    set_meaning(session)
    return session


def _knock_few_times(session: SparkSession) -> None:
    """A server that is gone is told of within a minute or so: by itself pyspark tries for ten."""
    from pyspark.sql.connect.client.retries import DefaultPolicy

    client: Any = session.client
    client.set_retry_policies([DefaultPolicy(max_retries=KNOCKS)])


def server_is_gone(error: Exception) -> bool:
    """Whether an error says that a Spark Connect server does not answer any more."""
    from pyspark.errors import PySparkException

    if type(error).__name__ == "RetriesExceeded":
        return True
    told = getattr(error, "getGrpcStatusCode", lambda: None)()
    return isinstance(error, PySparkException) and getattr(told, "name", "") == "UNAVAILABLE"


def set_meaning(session: SparkSession) -> None:
    """Set what makes results the same as on any other engine. Raises: EngineError."""
    for name, value in {**_UNSEEN, **_MEANING}.items():
        try:
            session.conf.set(name, value)
        except Exception as error:
            raise EngineError(
                "the Spark session does not accept a setting that the figures depend on",
                code="engine_settings",
                where=name,
                expected=value,
                got=type(error).__name__,
                hint="allow the setting for this session, or set it so for the whole server",
            ) from error


def _check_pyspark() -> None:
    if (fault := spark_fault()) is not None:
        raise EngineError(
            "the Spark engine needs pyspark",
            code="spark_missing",
            expected="pyspark 4.0 or later",
            got=fault,
            hint=_INSTALL,
        )


def _started(builder: Any, settings: dict[str, str], where: str) -> SparkSession:
    for name in _PYTHON_LOGGERS:  # they print whole queries
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            session: SparkSession = builder.getOrCreate()
    except Exception as error:
        raise EngineError(
            "Spark does not start",
            code="engine_settings",
            where=where,
            got=f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}",
            hint="check BASERATE_SPARK_MASTER or BASERATE_SPARK_REMOTE and BASERATE_MEMORY_LIMIT; "
            f"for Spark Connect: pip install 'pyspark[connect]' beside {_INSTALL}",
        ) from error
    return session
