"""SYNTAX: 2,943 angiograms of 231 patients with SYNTAX scores (Mahmoudi et al., Sci Data 2025).

figshare 25801447. Its layout is not documented, so every image, array or XA DICOM file below the
download is read, and the patient is identified by folder or file name (see `Folder`).
The tables with the scores are not read.
"""

from __future__ import annotations

from benchmark.data.sources.files import Raw
from benchmark.data.sources.folder import Folder, GroupRule


class Syntax(Folder):
    """Reader of SYNTAX.

    Args:
        raw: the unpacked download.
        group: how the patient of a file is identified; see `Folder`.
    """

    name = "syntax"
    forms = ("pack",)
    reads_videos = False  # the published count is one of images
    expected = {"frames": 2943, "patients": 231}

    def __init__(self, raw: Raw, *, group: GroupRule = "auto") -> None:
        super().__init__(raw, group=group, name=self.name)
        del self.options["name"]
