//! PLACEHOLDER by STREAM until the owner's file is here; overwrite it.
