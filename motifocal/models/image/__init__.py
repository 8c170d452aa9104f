"""The image as tokens: the frozen image encoder, and the projection that is trained."""
