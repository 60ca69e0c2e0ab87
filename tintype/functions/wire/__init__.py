"""What goes over the wire of `/functions/v1`: bodies in, answers and refusals out, CORS."""
