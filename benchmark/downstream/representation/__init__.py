"""How well the patch features of an encoder separate vessels from background.

Journal table VI, AAAI table 3: patches of labelled frames are labelled by their masks, their
features projected to two dimensions, and the two classes compared as clusters.
"""
