"""What messages mean: decoded topics become streams, cameras and events."""
