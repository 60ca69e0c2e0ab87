"""The functions that come with Tintype, one module each."""
