//! PLACEHOLDER by STREAM until XDR's file is here; overwrite it.
