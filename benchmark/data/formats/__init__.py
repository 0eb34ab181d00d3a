"""Files nobody trusts: images, masks, arrays of frames and DICOM, decoded or refused."""
