"""The dashboard at `/`: server-rendered pages, kept live by the stream of changes. It reads and never writes."""
