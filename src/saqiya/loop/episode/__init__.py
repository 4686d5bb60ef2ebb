"""What there is to see of one episode: streams, pictures, bands, films, and the way into other viewers."""
