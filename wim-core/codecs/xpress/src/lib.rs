//! XPRESS with Huffman coding ([MS-XCA] 2.1–2.2), as WIM stores it: one chunk of at most 64 KiB, one code.
