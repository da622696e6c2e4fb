//! Windows images, read, edited and written with no Windows.
