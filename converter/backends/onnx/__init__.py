"""ONNX: admitted, prepared, made canonical, quantized and checked."""
