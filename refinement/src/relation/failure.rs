//! What did not fit.
