//! LZX as WIM stores it: chunks compressed alone, windows of 32 KiB to 2 MiB, E8 translation always on.
