"""Images and video clips on disk, to and from uint8 RGB arrays."""
