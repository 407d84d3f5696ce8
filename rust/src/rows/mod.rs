//! PLACEHOLDER by STREAM until ROWS' file is here; overwrite it.
