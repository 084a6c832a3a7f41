"""What the engine says about itself: names, trace context, spans, metrics, logs.

Everything here speaks the OpenTelemetry API only; `sdk.py` alone touches the SDK and the
exporters, and is imported by whoever wires a process, never by its siblings.
"""
