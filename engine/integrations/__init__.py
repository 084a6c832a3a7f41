"""What talks to the world outside: HTTP, notifications, and counting what tenants use.

Owns: small protocols that a stage works against, so that a provider can be changed or replaced in a
test. Must not: know any pipeline, or decide about retries; errors say what another try is worth.
"""
