//! What depends on the processor, one file per processor.

mod x86_64;
pub(crate) use x86_64::*;
