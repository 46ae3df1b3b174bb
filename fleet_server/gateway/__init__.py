"""The gateway between MQTT and the server: messages in, desired documents and commands out."""
