"""Files nobody trusts: pictures, masks, arrays of frames and DICOM, decoded or refused."""
