"""Files nobody trusts: pictures, arrays of frames and DICOM, decoded to grey or refused."""
