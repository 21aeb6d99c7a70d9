"""A receiver for OpenTelemetry's protocol, and a picture of what it received."""
