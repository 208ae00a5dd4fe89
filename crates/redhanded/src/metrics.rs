//! The numbers of an install.

use crate::install::Redhanded;
pub use redhanded_core::metrics::{
    Attribute, Attributes, Buckets, Data, Exemplar, Metric, Number, Point, Snapshot,
};

impl Redhanded {
    /// The numbers of this install at this moment, in OpenTelemetry's terms, for whoever exports them.
    ///
    /// Who asks for the first time switches the counting on, unless [`Builder::metrics`](crate::Builder::metrics) or an
    /// export has. Looks at every request in flight and at every host: not for a hot path. Waits for no request.
    ///
    /// What is told of hosts and of tokio's runtimes is the whole process's; everything else is this install's.
    ///
    /// ```
    /// # fn example(redhanded: redhanded::Redhanded) {
    /// for metric in redhanded.metrics().metrics {
    ///     println!("{} in {}: {}", metric.name, metric.unit, metric.description);
    /// }
    /// # }
    /// ```
    pub fn metrics(&self) -> Snapshot {
        self.installed.numbers().snapshot()
    }
}
