"""An image becomes tokens: the frozen image encoder, and the projection that is trained."""
