"""Layouts of a user's own labelled data; docs/add_a_dataset.md describes them."""
