"""Training of the autoencoder and the text encoder of the synthetic scenes."""
