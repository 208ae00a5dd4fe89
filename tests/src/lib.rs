//! Every way to hang, and the proof that it is caught.
