"""Untrusted files: images, masks, videos, DICOM and annotations, decoded or refused."""
