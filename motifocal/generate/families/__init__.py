"""How the diffusers pipelines that animate an image are called: one file a kin of classes."""
