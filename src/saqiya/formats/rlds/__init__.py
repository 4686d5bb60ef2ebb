"""RLDS: TFRecords without TensorFlow."""
