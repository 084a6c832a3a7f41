"""The backbone's stages, one file a queue: from ingress to analytics.

Written as a user of the engine would write them. Importing a file declares its stages.
"""
