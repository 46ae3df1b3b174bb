"""TFLite: exported, quantized with ranges of our own, slimmed and checked."""
