"""Untrusted files: images, masks, videos, DICOM and annotations, decoded or refused.

Whatever is wrong with one frame's file is an `UnreadableFrame` whose reasons are few and fixed, so
that they can be counted; with a list of many frames, an `InputError`. An `OSError` means that the
disk or the system failed, which is not a property of the file.
"""
