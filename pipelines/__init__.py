"""The backbone's pipelines. Importing one declares it and its stages."""
