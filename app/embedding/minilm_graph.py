"""all-MiniLM-L6-v2 as a graph that computes in int8, made from the weights that the model package stores in int8.

The package's own graph turns every weight into float32 when it is opened. This one keeps them as they are stored:
half the memory, two thirds of the time, the same vectors to a cosine of 0.999 (docs/adr/0021).
The layers: https://arxiv.org/abs/1810.04805; the fused operators: onnxruntime, docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

LAYERS = 6
HEADS = 12
DIMENSION = 384
EPSILON = 1e-12
# Values that share one scale when a token's activations become int8: its outliers coarsen no others than these.
BLOCK = 128
COMPUTE_IN_INT8 = 4  # the operator's `accuracy_level`
INPUTS = IDS, MASK = ("input_ids", "attention_mask")
FUSED = "com.microsoft"
_OPSET = 18
_IR_VERSION = 10
_EMBEDDINGS = "inner.embeddings."


def minilm_graph(stored: bytes) -> bytes:
    """The serialized model made from the package's: `input_ids` and `attention_mask` (n, t) to (n, t, 384) float32."""
    return _Graph(onnx.load_from_string(stored)).serialized()


class _Graph:
    """Nodes and weights so far; a method adds one layer and returns the name of its output."""

    def __init__(self, stored: onnx.ModelProto) -> None:
        self._stored = {tensor.name: tensor for tensor in stored.graph.initializer}
        # In the order of use, six a layer: query, key, value, attention output, and both of the feed-forward part.
        self._linear = [name[:-2] for name in self._stored if name.startswith("val_") and name.endswith("_q")]
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = {}

    def serialized(self) -> bytes:
        hidden = self._embeddings()
        for number in range(LAYERS):
            hidden = self._layer(number, hidden)
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]) for name in INPUTS]
        output = helper.make_tensor_value_info(hidden, TensorProto.FLOAT, ["n", "t", DIMENSION])
        graph = helper.make_graph(self._nodes, "all-MiniLM-L6-v2", inputs, [output], list(self._weights.values()))
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(FUSED, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        return bytes(model.SerializeToString())

    def _embeddings(self) -> str:
        """Word, position and (always the first) segment, summed and normalised."""
        words = f"{_EMBEDDINGS}word_embeddings.weight"
        stored = self._add("Gather", "word_stored", [self._kept(f"{words}_q"), IDS])
        scale = self._add("Gather", "word_scale", [self._kept(f"{words}_scale"), IDS])
        word = self._add("Mul", "word", [self._add("Cast", "word_float", [stored], to=TensorProto.FLOAT), scale])
        positions = self._array(f"{_EMBEDDINGS}position_embeddings.weight_q").astype(np.float32)
        positions *= self._array(f"{_EMBEDDINGS}position_embeddings.weight_scale")
        positions += self._array(f"{_EMBEDDINGS}token_type_embeddings.weight")[0]
        length = self._add("Shape", "length", [IDS], start=1, end=2)
        zero = self._new("zero", np.array([0], dtype=np.int64))
        position = self._add("Slice", "position", [self._new("positions", positions), zero, length, zero])
        summed = self._add("Add", "summed", [word, position])
        self._add("Cast", "mask", [MASK], to=TensorProto.INT32)
        norm = [self._kept(f"{_EMBEDDINGS}LayerNorm.{part}") for part in ("weight", "bias")]
        return self._add("LayerNormalization", "hidden", [summed, *norm], epsilon=EPSILON)

    def _layer(self, number: int, hidden: str) -> str:
        """Attention, then the feed-forward part, each added to what it was given and normalised."""
        name = f"inner.encoder.layer.{number}."
        query, key, value, attended, widened, narrowed = self._linear[6 * number : 6 * number + 6]
        projected = self._multiply(f"{name}projected", hidden, query, key, value)
        parts = [f"{name}{part}" for part in ("query", "key", "value")]
        self._nodes.append(helper.make_node("Split", [projected], parts, axis=2, num_outputs=3))
        biases = [self._array(f"{name}attention.self.{part}.bias") for part in ("query", "key", "value")]
        bias = self._new(f"{name}biases", np.concatenate(biases))
        heads = self._fused("MultiHeadAttention", f"{name}heads", [*parts, bias, "mask"], num_heads=HEADS)
        attention = self._multiply(f"{name}attention", heads, attended)
        hidden = self._added(f"{name}attention.output", attention, hidden)
        wide = self._multiply(f"{name}wide", hidden, widened)
        biased = self._add("Add", f"{name}biased", [wide, self._kept(f"{name}intermediate.dense.bias")])
        active = self._fused("Gelu", f"{name}active", [biased])
        return self._added(f"{name}output", self._multiply(f"{name}narrow", active, narrowed), hidden)

    def _added(self, name: str, change: str, hidden: str) -> str:
        # In three steps: the fused SkipLayerNormalization took 51 ms of a processor for a passage where these take 47.
        biased = self._add("Add", f"{name}.biased", [change, self._kept(f"{name}.dense.bias")])
        summed = self._add("Add", f"{name}.summed", [biased, hidden])
        norm = [self._kept(f"{name}.LayerNorm.{part}") for part in ("weight", "bias")]
        return self._add("LayerNormalization", f"{name}.hidden", [summed, *norm], epsilon=EPSILON)

    def _multiply(self, name: str, hidden: str, *weights: str) -> str:
        """One product by the columns of all `weights`, side by side."""
        stored = np.concatenate([self._array(f"{weight}_q") for weight in weights], axis=1).T
        scales = np.concatenate([self._array(f"{weight}_scale") for weight in weights], axis=1)[0]
        columns, rows = stored.shape
        blocks = (stored.astype(np.int16) + 128).astype(np.uint8).reshape(columns, rows // BLOCK, BLOCK)
        packed = self._new(f"{name}.packed", blocks)
        scale = self._new(f"{name}.scales", np.repeat(scales, rows // BLOCK).astype(np.float32))
        sizes = {"K": rows, "N": columns, "bits": 8, "block_size": BLOCK}
        return self._fused("MatMulNBits", name, [hidden, packed, scale], accuracy_level=COMPUTE_IN_INT8, **sizes)

    def _add(self, operator: str, output: str, inputs: Iterable[str], **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def _fused(self, operator: str, output: str, inputs: Iterable[str], **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, list(inputs), [output], domain=FUSED, **attributes))
        return output

    def _array(self, name: str) -> NDArray[Any]:
        return numpy_helper.to_array(self._stored[name])

    def _kept(self, name: str) -> str:
        self._weights[name] = self._stored[name]
        return name

    def _new(self, name: str, values: NDArray[Any]) -> str:
        self._weights[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name
