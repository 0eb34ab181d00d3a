"""Encoders other than the plain ViT, and the protocol that all encoders implement."""
