"""A linear probe for vessel patches on the frozen encoder, with extracted anatomy as labels.

No annotation is used: the labels are the vessel masks of the packs. The probe is fitted on frames
of some patients and scored on frames of others, always the same ones, whatever method is trained
and with whatever seed.
"""
