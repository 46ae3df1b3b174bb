"""The device agent: control plane, model host and SDK."""
