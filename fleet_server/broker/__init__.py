"""The MQTT broker that the server brings or uses: embedded, the system's Mosquitto, or one by URL."""
