"""The fleet server: registry, trust, rollouts, telemetry, monitors, REST API, dashboard, gateway to MQTT."""
