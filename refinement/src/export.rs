//! A run of the protocol, written for other tools.
//!
//! [`Run`] is what every writer starts from: the states, the steps, who holds and awaits which lock from when to when,
//! which IPI was sent, taken and acknowledged when. A writer only chooses words:
//!
//! | writer | opened by |
//! |---|---|
//! | [`itf`] | Apalache, Quint, their trace viewers |
//! | [`perfetto`] | Perfetto's UI, chrome://tracing |
//! | [`shiviz`] | ShiViz |
//! | [`dot`] | Graphviz |
//! | [`splat`] | a reader of kernel logs; [`lockdep`] decides what there is to report |
//! | [`markdown`] | a mailing list |
//! | [`rv`] | the kernel's `rvgen`; about the local rules, not about one run |
//!
//! Nothing here judges anything: verdicts are [`shootdown_spec::property`]'s. `docs/export.md` has each format with a
//! sample and what opens it.

pub mod dot;
pub mod itf;
pub mod lockdep;
pub mod markdown;
pub mod perfetto;
pub mod run;
pub mod rv;
pub mod shiviz;
pub mod splat;

pub use run::Run;
