"""How OpenMMLab is imported here: quietly, without its compiled operators and transformers."""
