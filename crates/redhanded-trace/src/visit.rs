//! Values as `tracing` hands them out, on their way into the ring.

use redhanded_core::story::Fields;
use std::fmt::Debug;
use tracing_core::field::{Field, Visit};

/// Notes every field by its index, as what it is.
pub(crate) struct Noting<'a>(pub(crate) &'a mut Fields);

impl Visit for Noting<'_> {
    #[inline]
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.debug(field.index(), value);
    }
    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.text(field.index(), value);
    }
    #[inline]
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.u64(field.index(), value);
    }
    #[inline]
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.i64(field.index(), value);
    }
    #[inline]
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.bool(field.index(), value);
    }
    #[inline]
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.f64(field.index(), value);
    }
    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.0.binary(field.index(), value);
    }
}
