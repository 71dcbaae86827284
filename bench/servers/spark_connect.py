"""A Spark Connect server on this machine, for benches and tests.

pyspark's own server in a Java of its own, at a free port of this machine only. It serves until it
is ended by SIGINT or SIGTERM:

    python bench/servers/spark_connect.py --address-file FILE --scratch FOLDER
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SETTINGS = {
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.codegen.cache.maxEntries": "1000",
    "spark.sql.shuffle.partitions": "4",
    "spark.ui.enabled": "false",
}
SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"


def started(port: int, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    """The server's Java. Raises: SystemExit if pyspark is missing or Java ends at once."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("pyspark is missing: pip install 'baserate[spark]'")
    home = Path(spec.submodule_search_locations[0])
    settings = SETTINGS | {
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.memory": options.memory,
        "spark.local.dir": str(options.scratch),
    }
    words = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    words += ["--master", "local[2]", "--driver-java-options", "-Duser.timezone=UTC"]
    java = subprocess.Popen(
        [home / "bin" / "spark-submit", *words, "--class", SERVER, "spark-internal"],
        stdout=subprocess.DEVNULL,
        stderr=sys.stderr if options.verbose else subprocess.DEVNULL,
        env={**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"},
        cwd=options.scratch,
    )
    while not listens(port):
        if java.poll() is not None:
            raise SystemExit("the server's Java ended; --verbose shows what it said")
        time.sleep(0.2)
    return java


def listens(port: int) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


def main(options: argparse.Namespace) -> None:
    """Start the server, write its address, serve until a signal comes or Java ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options.scratch.mkdir(parents=True, exist_ok=True)
    java = started(port, options)
    signal.signal(signal.SIGTERM, lambda *_: java.terminate())
    signal.signal(signal.SIGINT, lambda *_: java.terminate())
    partial = options.address_file.with_suffix(".partial")
    partial.write_text(f"sc://127.0.0.1:{port}")
    partial.replace(options.address_file)
    java.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address-file", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True, help="folder for spilling")
    parser.add_argument("--memory", default="3g")
    parser.add_argument("--verbose", action="store_true")
    main(parser.parse_args())
