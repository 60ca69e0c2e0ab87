"""The backend for apps that make images and video and train identity models."""

__version__ = "0.1.0"
