"""Adapters of the conversion tools. Only ever imported in a child process: they pull in TensorFlow and ONNX."""
